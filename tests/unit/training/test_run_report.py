"""The HTML report of a run: complete, in one file, and of any run that there is."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from unbraid_core.errors import IntegrityError, NotFound
from unbraid_training.checkpoint import load_checkpoint
from unbraid_training.config import DAY_S, TrainConfig
from unbraid_training.observer import EpochReport
from unbraid_training.report.plots import draw_epochs, panels
from unbraid_training.report.run_report import write_report
from unbraid_training.run_folder import RunFolder, RunIdentity

if TYPE_CHECKING:
    from tests.unit.training.conftest import TrainTiny, Watcher

SVG = "{http://www.w3.org/2000/svg}"


class Page(HTMLParser):
    """The cells of every table row, and every address that a browser would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.addresses: list[str] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True
        self.addresses += [value or "" for name, value in attributes if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, text: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += text

    def fact(self, name: str) -> str:
        return next(row[1] for row in self.rows if len(row) == 2 and row[0] == name)


def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_a_finished_run_has_a_report_with_everything(tiny_run: Path, tiny_config: TrainConfig) -> None:
    found, checkpoint = page(tiny_run), load_checkpoint(tiny_run)
    assert found.fact("ndcg@50") == f"{checkpoint.training.validation['ndcg@50']:.4g}"
    assert found.fact("gamma") == f"{checkpoint.scoring.gamma:.4g}"
    assert found.fact("dimension") == str(tiny_config.dimension)
    assert found.fact("target horizon (days)") == f"{tiny_config.target_horizon_s / DAY_S:.4g}"
    assert found.fact("split") == "last-5"
    assert found.fact("user count") == "40"
    assert found.fact("processes that worked on it") == "1"
    assert found.fact("packages: torch")
    epochs = [row for row in found.rows if row and row[0] in ("select", "refit")]
    assert len(epochs) == len((tiny_run / "metrics.jsonl").read_text().splitlines())


def test_settings_are_words_of_a_person_not_of_a_program(tiny_run: Path) -> None:
    found = page(tiny_run)
    assert found.fact("popularity").startswith("half life (days) 2, weight 0.6; half life (days) 7, weight 0.2; ")
    assert found.fact("encoder: short term") == "no"
    assert (found.fact("loss: soft epochs"), found.fact("decay: half lives (days)")) == ("none", "none")
    assert re.search(r"Finished: the best was epoch [123] of [123]\.", (tiny_run / "report.html").read_text())


def test_nothing_is_fetched_from_anywhere(tiny_run: Path) -> None:
    """References inside the document, and no other."""
    found = page(tiny_run)
    assert found.addresses
    assert [address for address in found.addresses if not address.startswith("#")] == []
    assert not re.search(r"<script|@import|url\((?!#)", (tiny_run / "report.html").read_text(encoding="utf-8"))


def reports(*, epoch_count: int, refit_count: int = 0) -> list[EpochReport]:
    def report(phase: str, epoch: int) -> EpochReport:
        validation = {"ndcg@50": 0.1 * epoch, "ndcg@20": 0.05, "recall@50": 0.2} if phase == "select" else {}
        return EpochReport(
            phase=phase,
            epoch=epoch,
            loss=5 - epoch,
            routing_information=0.3,
            effective_events=2.0,
            usage_entropy=1.0,
            cosine=0.1,
            restlessness=0.2,
            half_life_days=[1.0, 40.0],
            validation=validation,
        )

    phases = {"select": epoch_count, "refit": refit_count}
    return [report(phase, 1 + epoch) for phase, count in phases.items() for epoch in range(count)]


def test_every_number_of_every_epoch_is_drawn() -> None:
    drawn = panels(reports(epoch_count=3, refit_count=2))
    numbers = {"loss", "routing_information", "effective_events", "usage_entropy", "cosine", "restlessness"}
    assert set(drawn) == {*numbers, "half_life_days", "validation ndcg", "validation recall"}
    assert drawn["loss"] == {("", "select"): [(1, 4), (2, 3), (3, 2)], ("", "refit"): [(1, 4), (2, 3)]}
    assert set(drawn["validation ndcg"]) == {("ndcg@50", "select"), ("ndcg@20", "select")}
    assert drawn["half_life_days"]["interest 1", "refit"] == [(1, 40.0), (2, 40.0)]


@pytest.mark.parametrize(("epoch_count", "refit_count"), [(1, 0), (12, 7)])
def test_the_image_is_an_svg_element_with_text(epoch_count: int, refit_count: int) -> None:
    image = draw_epochs(reports(epoch_count=epoch_count, refit_count=refit_count), 1)
    root = ET.fromstring(image)
    assert root.tag == f"{SVG}svg"
    texts = {element.text for element in root.iter(f"{SVG}text")}
    assert {"loss", "half life days", "validation recall", "interest 0", "ndcg@20"} <= texts
    assert image == draw_epochs(reports(epoch_count=epoch_count, refit_count=refit_count), 1)


def test_an_unfinished_run_is_reported_as_far_as_it_is(
    train_tiny: TrainTiny, watch: Callable[..., Watcher], interrupted: type[Exception], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(interrupted):
        train_tiny(folder, watch(stop_at=1))
    assert write_report(folder) == folder / "report.html"
    assert "Under way: no epoch is over." in (folder / "report.html").read_text()
    assert page(folder).fact("event count")


def test_the_report_follows_the_epochs(tmp_path: Path) -> None:
    identity = RunIdentity(settings=TrainConfig(), split="all", data_sha256="ab")
    with RunFolder(tmp_path / "run", identity, report_every_s=0.0) as run:
        for count in (1, 2):
            run.log(reports(epoch_count=count))
            text = (run.path / "report.html").read_text()
            assert f"choosing epochs, epoch {count} is over, the best so far is {count}" in text


def test_names_cannot_break_the_page(tiny_run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_run, tmp_path / "<b>run & co"))
    facts = json.loads((folder / "data.json").read_text())
    (folder / "data.json").write_text(json.dumps(facts | {"actions": {"<script>alert(1)</script>": 3}}))
    text = write_report(folder).read_text()
    assert "<script>" not in text
    assert page(folder).fact("actions: <script>alert(1)</script>") == "3"


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="holds no training run; name the folder that unbraid train writes"):
        write_report(tmp_path)


def test_damaged_metrics_are_named(tiny_run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    (folder / "metrics.jsonl").write_text('{"phase": "select"}\n')
    with pytest.raises(IntegrityError, match=r"metrics\.jsonl: was written by another version"):
        write_report(folder)
