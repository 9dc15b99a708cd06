"""The folder of a run: whose it is, and what it keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from unbraid_core.calibration import Calibration
from unbraid_core.errors import Conflict
from unbraid_core.types import Scoring
from unbraid_training.config import EncoderConfig, TrainConfig
from unbraid_training.observer import EpochReport
from unbraid_training.run_folder import RunFolder, RunIdentity, Selection, Snapshot

IDENTITY = RunIdentity(settings=TrainConfig(), split="last-5", data_sha256="ab")


def identity(**changes: object) -> RunIdentity:
    """The usual identity with one thing changed, a setting or something else."""
    settings = {name: changes.pop(name) for name in list(changes) if name in TrainConfig.model_fields}
    return IDENTITY.model_copy(update={"settings": TrainConfig(**settings), **changes})


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"interest_count": 8}, "its interest_count is 4, this call has 8"),
        ({"seed": 7}, "its seed is 1, this call has 7"),
        ({"encoder": EncoderConfig(trunk="gru")}, "its encoder.trunk is none, this call has gru"),
        ({"split": "all"}, "its split is last-5, this call has all"),
        ({"data_sha256": "cd"}, "its data_sha256 is ab, this call has cd"),
    ],
)
def test_another_run_is_refused_and_told_the_difference(
    tmp_path: Path, changes: dict[str, object], difference: str
) -> None:
    folder = tmp_path / "run"
    with RunFolder(folder, IDENTITY):
        pass
    with pytest.raises(Conflict) as caught:
        RunFolder(folder, identity(**changes))
    assert caught.value.message == f"{folder} holds another run: {difference}; name another folder, or remove this one"
    with RunFolder(folder, IDENTITY):
        pass


def test_a_folder_with_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("chapter 1")
    with pytest.raises(Conflict, match="is not empty and holds no training run; name another folder with --out"):
        RunFolder(tmp_path, IDENTITY)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_empty_folder_and_a_missing_one_will_do(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "a" / "b"):
        with RunFolder(folder, IDENTITY) as run:
            assert not run.finished
            assert run.load("select") is None
            assert run.selection is None


def test_a_run_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"settings": {"warmth": 3}, "split": "all"}')
    with pytest.raises(Conflict, match="was made by another version of unbraid"):
        RunFolder(tmp_path, IDENTITY)


def test_one_at_a_time(tmp_path: Path) -> None:
    with RunFolder(tmp_path, IDENTITY), pytest.raises(Conflict, match="another process trains there; wait for it"):
        RunFolder(tmp_path, IDENTITY)
    with RunFolder(tmp_path, IDENTITY):
        pass


def test_what_is_saved_is_loaded_by_the_next_process(tmp_path: Path) -> None:
    report = EpochReport(
        phase="select",
        epoch=1,
        loss=0.1,
        routing_information=1 / 3,
        effective_events=12.5,
        usage_entropy=0.7,
        cosine=-0.1,
        half_life_days=[1.5],
        restlessness=0.2,
        validation={"ndcg@50": 0.2},
    )
    selection = Selection(
        epochs=2,
        scoring=Scoring(0.1, 1 / 3, 0.5, 0.0, 1.0, 2.0),
        calibration=Calibration(slope=0.7, intercept=-0.1),
        validation={"ndcg@50": 0.1 + 0.2},
    )
    state = {"model.a": torch.tensor([1.0, float("inf")]), "optimizer.0.step": torch.tensor(3.0)}
    with RunFolder(tmp_path, IDENTITY) as run:
        run.save("best", Snapshot({"old": torch.zeros(1)}, []))
        run.save("best", Snapshot(state, [report]))
        run.selection = selection
        run.log([report, report])
    with RunFolder(tmp_path, IDENTITY) as run:
        found = run.load("best")
        assert found is not None
        assert found.reports == [report]
        assert set(found.state) == set(state)
        assert all(torch.equal(found.state[name], tensor) for name, tensor in state.items())
        assert run.selection == selection
        assert (tmp_path / "metrics.jsonl").read_text() == 2 * (report.model_dump_json() + "\n")
        run.clean()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "metrics.jsonl", "report.html", "run.json"]
