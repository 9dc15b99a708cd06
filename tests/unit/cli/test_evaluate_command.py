from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import ir_measures
import numpy as np
import pytest
import typer
from ir_measures import R, nDCG
from typer.testing import CliRunner, Result

from unbraid_cli.baselines import baselines
from unbraid_cli.evaluate import evaluate
from unbraid_core.errors import InvalidInput, NotFound
from unbraid_core.release import ReleaseStore
from unbraid_core.types import Query
from unbraid_server.device import Device
from unbraid_server.model import load_model
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.folder import read_dataset, write_dataset
from unbraid_training.data.splits import parse_split

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Shop

SPLIT = "last-4"


@dataclass(frozen=True)
class Evaluable:
    """A folder of data, and a release that says that it was trained on them."""

    data: Path
    releases: Path
    release_id: str

    def run(self, *options: str | Path) -> Result:
        app = typer.Typer()
        app.command()(evaluate)
        arguments = ["--data", self.data, "--releases", self.releases, *options]
        return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def evaluable(shop: Shop) -> Evaluable:
    return Evaluable(shop.data, shop.releases, shop.release_id)


def test_the_active_release_is_judged_by_the_split_of_its_training(evaluable: Evaluable, tmp_path: Path) -> None:
    done = evaluable.run("--json", tmp_path / "report.json")

    assert done.exit_code == 0, done.output
    printed = " ".join(done.stdout.split())
    assert f"release {evaluable.release_id}, split {SPLIT}, task new, profile formula:" in printed
    assert "decayed popularity: half-life" in printed
    for metric in ("recall@20", "hr@50", "ndcg@50", "coverage@50", "over decayed popularity"):
        assert metric in printed
    report = json.loads((tmp_path / "report.json").read_text())
    assert [system["system"] for system in report["systems"]] == ["unbraid", "popularity", "decayed popularity"]
    assert [gain["baseline"] for gain in report["gains"]] == ["popularity", "decayed popularity"]
    assert report["setting"]["item_count"] == 24
    mean = report["systems"][0]["metrics"]["ndcg@20"]["mean"]
    assert f"{mean:.3f} [" in printed


@pytest.mark.parametrize("task", ["new", "all"])
def test_the_run_file_is_what_the_serving_pipeline_answers(evaluable: Evaluable, tmp_path: Path, task: str) -> None:
    done = evaluable.run("--task", task, "--run-out", tmp_path / "run", "--json", tmp_path / "report.json")
    assert done.exit_code == 0, done.output

    model = load_model(ReleaseStore(evaluable.releases).open(), Device.CPU)
    holdout = parse_split(SPLIT).apply(read_dataset(evaluable.data)[0])
    expected = {}
    for user, now_s in zip(holdout.user_H, holdout.now_s_H, strict=True):
        events = holdout.train.history(user)
        actions = [holdout.train.actions[action] for action in events.action_N]
        item_ids = [holdout.train.catalogue.item_ids[row] for row in events.row_N]
        history = model.history(item_ids, events.time_s_N.tolist(), actions, until_s=None).history
        (ranking,) = model.pipeline.recommend([Query(history, float(now_s), 50, include_seen=task == "all")])
        user_id = holdout.train.user_ids[user].replace(" ", "%20")
        expected[user_id] = model.catalogue.ids(ranking.row_R)
    found: dict[str, list[str]] = {}
    for line in (tmp_path / "run").read_text().splitlines():
        user_id, _, item_id, *_ = line.split()
        found.setdefault(user_id, []).append(item_id)
    assert len(found) > 40
    assert found == {user_id: expected[user_id] for user_id in found}

    # The readers of ir_measures have no type hints.
    qrels = ir_measures.read_trec_qrels(str(tmp_path / "run.qrels"))  # type: ignore[no-untyped-call]
    run = ir_measures.read_trec_run(str(tmp_path / "run"))  # type: ignore[no-untyped-call]
    theirs = ir_measures.calc_aggregate([R @ 20, nDCG @ 50], list(qrels), list(run))
    ours = json.loads((tmp_path / "report.json").read_text())["systems"][0]["metrics"]
    assert theirs[R @ 20] == pytest.approx(ours["recall@20"]["mean"], abs=1e-9)
    assert theirs[nDCG @ 50] == pytest.approx(ours["ndcg@50"]["mean"], abs=1e-9)


def test_a_profile_that_the_release_has_not_is_refused(evaluable: Evaluable) -> None:
    failure = evaluable.run("--profile", "learned").exception
    assert isinstance(failure, InvalidInput)
    assert "profile: is learned, and this release has no ranker" in str(failure)


def test_the_bar_of_the_baselines_is_one_more_system_to_compare_with(evaluable: Evaluable, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(baselines)
    options = ["--data", evaluable.data, "--split", SPLIT, "--methods", "own,itemknn", "--task", "all"]
    measured = CliRunner().invoke(app, [str(option) for option in [*options, "--out", tmp_path]])
    assert measured.exit_code == 0, measured.output
    told = json.loads((tmp_path / "baselines-all.json").read_text())
    [expected] = [result for result in told["results"] if result["name"] == told["bar"]]

    file = tmp_path / "baselines-all.parquet"
    done = evaluable.run("--task", "all", "--against", file, "--json", tmp_path / "report.json")
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "report.json").read_text())
    unbraid, *_, bar = report["systems"]
    assert (bar["system"], bar["metrics"], bar["coverage"]) == (
        told["bar"],
        expected["metrics"],
        expected["coverage"],
    )
    gain = report["gains"][-1]
    assert gain["baseline"] == told["bar"]
    difference = unbraid["metrics"]["ndcg@50"]["mean"] - bar["metrics"]["ndcg@50"]["mean"]
    assert gain["metrics"]["ndcg@50"]["mean"] == pytest.approx(difference)
    assert f"over {told['bar']}" in " ".join(done.stdout.split())


def test_a_sample_of_users(evaluable: Evaluable, tmp_path: Path) -> None:
    done = evaluable.run("--users", "7", "--json", tmp_path / "report.json")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "report.json").read_text())["setting"]["user_count"] == 7


def test_mistakes_are_named(evaluable: Evaluable, tmp_path: Path) -> None:
    for options, kind, message in (
        (["--split", "last-2"], InvalidInput, "split: last-2 holds out events from"),
        (["--split", "yesterday"], InvalidInput, "split: 'yesterday' is unknown"),
        (["--against", str(tmp_path / "missing.parquet")], InvalidInput, "against: cannot read"),
        (["no-such-release"], NotFound, "no release 'no-such-release'"),
        (["--run-out", str(tmp_path / "missing" / "run")], InvalidInput, "--run-out: cannot write"),
    ):
        failure = evaluable.run(*options).exception
        assert isinstance(failure, kind)
        assert message in str(failure)


def test_other_data_are_refused(evaluable: Evaluable, shoppers: Dataset, tmp_path: Path) -> None:
    write_dataset(shoppers.select(np.arange(800) % 100 > 0), tmp_path)
    failure = Evaluable(tmp_path, evaluable.releases, evaluable.release_id).run().exception
    assert isinstance(failure, InvalidInput)
    assert "data: its training part has sha256" in str(failure)
