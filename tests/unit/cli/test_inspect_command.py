"""``unbraid inspect`` on the releases of the shop, whose two interests are the kitchen and the bicycle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
import typer
from typer.testing import CliRunner, Result

from unbraid_cli.inspect import inspect
from unbraid_core.errors import InvalidInput, NotFound
from unbraid_core.release import open_release

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Shop

Run = Callable[..., Result]


@pytest.fixture
def run(shop: Shop) -> Run:
    """Calls the command on the active release."""

    def call(*options: str | Path) -> Result:
        app = typer.Typer()
        app.command()(inspect)
        arguments = ["--data", shop.data, "--releases", shop.releases, *options]
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return call


def test_it_prints_what_the_interests_are_and_takes_histories_apart(shop: Shop, run: Run) -> None:
    done = run("--examples", "2")
    assert done.exit_code == 0, done.output
    printed = " ".join(done.stdout.split())
    assert f"release {shop.release_id}, split {shop.split}, task new, profile formula: " in printed
    for words in (
        "half-life",
        "typical items",
        "effective interests in a history",
        "agreement of interest and category",
    ):
        assert words in printed
    assert printed.count("events, as of 202") == 2
    assert "coverage@50" not in printed


def test_the_files_say_the_same_and_the_twin_stands_beside(shop: Shop, run: Run, tmp_path: Path) -> None:
    done = run("--against", shop.other_release_id, "--out", tmp_path / "new" / "folder")
    assert done.exit_code == 0, done.output
    folder = tmp_path / "new" / "folder"
    names = ["histories.svg", "inspection.json", "inspection.md", "interests.svg"]
    assert sorted(path.name for path in folder.iterdir()) == names
    told = json.loads((folder / "inspection.json").read_text())
    assert [profile["index"] for profile in told["profiles"]] == [0, 1]
    assert sum(profile["event_share"] for profile in told["profiles"]) == pytest.approx(1.0, abs=1e-5)
    measures = {contrast["measure"]: contrast for contrast in told["contrasts"]}
    spaces = [f"diversity@50 in {name}" for name in ("co-occurrence", "categories", "titles")]
    assert list(measures) == ["recall@50", "ndcg@50", "coverage@50", *spaces]
    for each in measures.values():
        gap = each["system"]["mean"] - each["twin"]["mean"]
        assert each["difference"]["mean"] == pytest.approx(gap, abs=1e-9)
        assert each["difference"]["low"] <= each["difference"]["mean"] <= each["difference"]["high"]
    page = (folder / "inspection.md").read_text()
    assert f"## Next to {shop.other_release_id}" in page
    for example in told["examples"]:
        assert f"user {example['user_id']}, {example['event_count']} events" in page
        assert sum(len(strand["time_s"]) for strand in example["strands"]) == example["event_count"]
        assert sum(strand["share"] for strand in example["strands"]) <= 1.0 + 1e-6
    for name in ("interests.svg", "histories.svg"):
        assert ET.parse(folder / name).getroot().tag.endswith("svg")


def test_the_two_kinds_of_things_are_told_apart(shop: Shop, run: Run, tmp_path: Path) -> None:
    assert run(shop.release_id, "--out", tmp_path).exit_code == 0
    told = json.loads((tmp_path / "inspection.json").read_text())
    assert told["disentanglement"]["category_nmi"] > 0.8
    assert [profile["typical_categories"] for profile in told["profiles"]] == [["kitchen"], ["cycling"]]


def test_a_release_does_not_differ_from_itself(shop: Shop, run: Run, tmp_path: Path) -> None:
    assert run("--against", shop.release_id, "--out", tmp_path).exit_code == 0
    contrasts = json.loads((tmp_path / "inspection.json").read_text())["contrasts"]
    assert {tuple(contrast["difference"].values()) for contrast in contrasts} == {(0.0, 0.0, 0.0)}


def test_a_user_can_be_named(run: Run) -> None:
    done = run("--user", "shopper 7", "--user", "shopper 3", "--task", "all")
    assert done.exit_code == 0, done.output
    shown = [line.split(",")[0] for line in done.stdout.splitlines() if line.startswith("user shopper")]
    assert shown == ["user shopper 7", "user shopper 3"]


def test_mistakes_are_named(shop: Shop, run: Run, release_v1: Path, tmp_path: Path) -> None:
    releases = shutil.copytree(shop.releases, tmp_path / "releases")
    other = open_release(release_v1).manifest.release_id
    shutil.copytree(release_v1, releases / other)
    (tmp_path / "file").touch()
    for options, kind, message in (
        (["--user", "nobody"], NotFound, "user 'nobody': not among the"),
        (["--releases", releases, "--against", other], InvalidInput, "train both alike"),
        (["--against", "no-such-release"], NotFound, "no release 'no-such-release'"),
        (["--profile", "learned", "--against", shop.other_release_id], InvalidInput, "this release has no ranker"),
        (["--out", str(tmp_path / "file")], InvalidInput, "--out: cannot write"),
    ):
        failure = run(*options).exception
        assert isinstance(failure, kind)
        assert message in str(failure)
