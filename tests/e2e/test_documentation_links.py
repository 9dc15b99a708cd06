"""What the documentation names is there: pages, headings and benchmarks; every page can be reached from the README."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGES = [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").glob("*.md"))]
# Inside one line: a target in round brackets behind a text in square ones.
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", flags=re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+?) *$", flags=re.MULTILINE)


def name(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


def links(page: Path) -> list[str]:
    """The targets of a page's links that stay inside the repository."""
    prose = CODE.sub("", page.read_text(encoding="utf-8"))
    return [target for target in LINK.findall(prose) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links: words in lower case, joined by hyphens."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in HEADING.findall(text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(REPOSITORY), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_benchmarks_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"-m benchmarks\.(\w+)", text) + re.findall(r"python benchmarks/(\w+)\.py", text)
    assert [each for each in named if not (REPOSITORY / "benchmarks" / f"{each}.py").is_file()] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    found, waiting = set[Path](), [REPOSITORY / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in found and page.suffix == ".md":
            found.add(page)
            waiting += [(page.parent / link.partition("#")[0]).resolve() for link in links(page)]
    assert [name(page) for page in PAGES if page not in found] == []
