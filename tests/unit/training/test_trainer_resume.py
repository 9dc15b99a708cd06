"""A run that was interrupted, at whatever point, ends with the bytes of an undisturbed run."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from unbraid_core.errors import Conflict, IncompatibleError
from unbraid_core.release.replacement import pending
from unbraid_training.checkpoint import load_checkpoint
from unbraid_training.config import DAY_S, DecayConfig, EncoderConfig, TrainConfig
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.splits import LastEvents
from unbraid_training.item_statistics import log_popularity
from unbraid_training.run_folder import RunFolder, RunIdentity, Snapshot
from unbraid_training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.training.conftest import TrainTiny, Watcher

FILES = (
    "config.json",
    "data.json",
    "items.arrow",
    "metrics.jsonl",
    "model.safetensors",
    "ranker.safetensors",
    "ranker.txt",
    "run.json",
    "statistics.safetensors",
)
# What says when and where a run was computed, so that it differs between two runs.
CIRCUMSTANCES = ("environment.json", "report.html")


def digests(folder: Path) -> dict[str, str]:
    assert sorted(path.name for path in folder.iterdir() if path.name != ".lock") == sorted(FILES + CIRCUMSTANCES)
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}


@pytest.mark.parametrize(
    ("encoder", "stop"),
    [
        (EncoderConfig(), 1),
        (EncoderConfig(), 2),
        (EncoderConfig(trunk="lstm", extraction="dynamic-routing", short_term=True), 1),
    ],
)
def test_a_trainer_goes_on_from_a_stored_state_bit_for_bit(
    tiny_dataset: Dataset, tiny_config: TrainConfig, tmp_path: Path, encoder: EncoderConfig, stop: int
) -> None:
    config = tiny_config.model_copy(update={"encoder": encoder})

    def trainer() -> Trainer:
        return Trainer(tiny_dataset, config, log_popularity(tiny_dataset, DAY_S))

    undisturbed = trainer()
    losses = [undisturbed.run_epoch(epoch, lambda: None) for epoch in range(3)]

    first = trainer()
    for epoch in range(stop):
        first.run_epoch(epoch, lambda: None)
    with RunFolder(tmp_path / "run", RunIdentity(settings=config, split="all", data_sha256="")) as run:
        run.save("some", Snapshot(first.state(), []))
        stored = run.load("some")
    assert stored is not None
    # An epoch draws from (seed, epoch) alone, so it does not matter what was drawn in between.
    torch.manual_seed(99)
    second = trainer()
    second.restore(stored.state)
    assert [second.run_epoch(epoch, lambda: None) for epoch in range(stop, 3)] == losses[stop:]
    for name, tensor in undisturbed.state().items():
        assert torch.equal(second.state()[name], tensor), name


def test_a_state_of_another_model_is_refused(tiny_dataset: Dataset, tiny_config: TrainConfig) -> None:
    trainer = Trainer(tiny_dataset, tiny_config, log_popularity(tiny_dataset, DAY_S))
    trainer.run_epoch(0, lambda: None)
    state = trainer.state()
    changes: dict[str, dict[str, torch.Tensor]] = {
        "a parameter less": {name: tensor for name, tensor in state.items() if name != "model.items.weight"},
        "a parameter more": {**state, "model.gate": torch.zeros(1)},
        "another shape": {**state, "model.items.weight": torch.zeros(3, 16)},
        "slots of nothing": {**state, "optimizer.gate.exp_avg": torch.zeros(1)},
    }
    for change in changes.values():
        with pytest.raises(IncompatibleError, match="another model"):
            trainer.restore(change)


def after(calls: list[str], stretch: str, count: int, what: str) -> int:
    """Which call of the observer is the n-th of its kind after the begin of a stretch."""
    begin = calls.index(f"begin {stretch}")
    return [position for position, call in enumerate(calls) if position >= begin and call.startswith(what)][count]


STOPS = {
    "at the start": ("choosing epochs", 0, "begin"),
    "in the first epoch": ("choosing epochs", 0, "advance"),
    "before the first epoch is stored": ("choosing epochs", 0, "epoch"),
    "when the best epoch is stored": ("choosing epochs", 1, "epoch"),
    "before the last epoch is stored": ("choosing epochs", 2, "epoch"),
    "while the score is fitted": ("fitting the score", 9, "advance"),
    "before the refit": ("training on all", 0, "begin"),
    "in the second epoch of the refit": ("training on all", 0, "epoch"),
    "before the last epoch of the refit is stored": ("training on all", -1, "epoch"),
    "before any candidates are stored": ("ranker, origin 1: asking for candidates", -1, "advance"),
    "in the second origin": ("ranker, origin 2: training", 0, "advance"),
    "while the ranker is fitted": ("ranker: fitting", 0, "begin"),
}


@pytest.mark.parametrize("place", STOPS)
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(
    train_tiny: TrainTiny,
    tiny_run: Path,
    tiny_watcher: Watcher,
    watch: Callable[..., Watcher],
    interrupted: type[Exception],
    tmp_path: Path,
    place: str,
) -> None:
    folder = tmp_path / "run"
    stop = after(tiny_watcher.calls, *STOPS[place])
    with pytest.raises(interrupted):
        train_tiny(folder, watch(stop_at=stop))
    assert not (folder / "config.json").exists()
    train_tiny(folder)
    assert digests(folder) == digests(tiny_run)


def test_stopped_between_the_two_files_of_an_epoch(
    train_tiny: TrainTiny,
    tiny_run: Path,
    tiny_watcher: Watcher,
    watch: Callable[..., Watcher],
    interrupted: type[Exception],
    tmp_path: Path,
) -> None:
    """The best epoch is stored before the state to go on from: put both files as a kill in between leaves them."""
    folder, later = tmp_path / "run", tmp_path / "later"
    for path, epochs in ((folder, 1), (later, 2)):
        with pytest.raises(interrupted):
            train_tiny(path, watch(stop_at=after(tiny_watcher.calls, "choosing epochs", epochs, "epoch")))
    shutil.copy(later / "progress" / "best.safetensors", folder / "progress" / "best.safetensors")
    train_tiny(folder)
    assert digests(folder) == digests(tiny_run)


def test_stopped_while_the_folder_was_made(train_tiny: TrainTiny, tiny_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".lock").touch()
    pending(folder / "run.json").write_text('{"sett')
    train_tiny(folder)
    assert digests(folder) == digests(tiny_run)


def test_stopped_before_the_progress_of_a_finished_run_was_dropped(
    train_tiny: TrainTiny, tiny_run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder)
    (folder / "progress").mkdir()
    (folder / "progress" / "refit.safetensors").write_bytes(b"x")
    train_tiny(folder)
    assert digests(folder) == digests(tiny_run)


@pytest.mark.parametrize("name", ["select", "best", "refit"])
def test_progress_of_another_version_says_how_to_go_on(
    train_tiny: TrainTiny,
    tiny_watcher: Watcher,
    watch: Callable[..., Watcher],
    interrupted: type[Exception],
    tmp_path: Path,
    name: str,
) -> None:
    folder = tmp_path / "run"
    stop = {
        "select": ("choosing epochs", 1, "epoch"),
        "best": ("fitting the score", 3, "advance"),
        "refit": ("ranker, origin 1: asking for candidates", 0, "begin"),
    }[name]
    with pytest.raises(interrupted):
        train_tiny(folder, watch(stop_at=after(tiny_watcher.calls, *stop)))
    path = folder / "progress" / f"{name}.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file({"model.other": torch.zeros(1)}, path, metadata=metadata)
    with pytest.raises(IncompatibleError, match=r"progress: was stored by another version .* start over"):
        train_tiny(folder)
    shutil.rmtree(folder / "progress")
    train_tiny(folder)


def test_every_process_that_worked_on_a_run_is_written_down(
    train_tiny: TrainTiny, watch: Callable[..., Watcher], interrupted: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(interrupted):
        train_tiny(tmp_path / "run", watch(stop_at=3))
    train_tiny(tmp_path / "run")
    train_tiny(tmp_path / "run")
    starts = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert len(starts) == 2, "a run that is only loaded is not worked on"
    for start in starts:
        assert start["packages"]["torch"] == torch.__version__
        assert start["python"] == platform.python_version()
        assert start["threads"] == 1
        assert start["memory_gib"] > 0


def test_the_data_are_described(tiny_run: Path, tiny_dataset: Dataset) -> None:
    facts = json.loads((tiny_run / "data.json").read_text())
    assert facts["event_count"] == len(tiny_dataset)
    assert facts["training_event_count"] == len(LastEvents(5).apply(tiny_dataset).train)
    assert facts["user_count"] == facts["training_user_count"] == 40
    assert facts["actions"] == {"": 0, "view": len(tiny_dataset)}
    assert facts["first_time"] < facts["last_time"]


TRAIN_AND_WAIT = """
import sys
from pathlib import Path
import torch
from unbraid_training.config import TrainConfig
from unbraid_training.data.splits import LastEvents
from unbraid_training.data.synthetic import SyntheticSpec, plant
from unbraid_training.train import train

class Waiting:
    def begin(self, title, step_count, done_count):
        if title == "training on all":
            print("ready", flush=True)
            sys.stdin.read()
    def advance(self): pass
    def epoch(self, report): pass

torch.set_num_threads(1)
spec = SyntheticSpec(user_count=40, item_count=120, events_per_user=20)
train(plant(spec).dataset, LastEvents(5), TrainConfig.model_validate_json(sys.argv[2]), Path(sys.argv[1]), Waiting())
"""


def test_a_killed_process_leaves_a_run_that_others_finish(
    train_tiny: TrainTiny, tiny_run: Path, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-c", TRAIN_AND_WAIT, str(folder), tiny_config.model_dump_json()]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            with pytest.raises(Conflict, match="another process trains there"):
                train_tiny(folder)
        finally:
            process.kill()
    train_tiny(folder)
    assert digests(folder) == digests(tiny_run)


def test_a_finished_run_is_loaded_and_not_trained_again(
    train_tiny: TrainTiny, tiny_run: Path, watch: Callable[..., Watcher]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in tiny_run.iterdir() if path.name != ".lock"}
    observer = watch()
    checkpoint = train_tiny(tiny_run, observer)
    assert observer.calls == []
    assert {path: path.stat().st_mtime_ns for path in tiny_run.iterdir() if path.name != ".lock"} == before
    assert checkpoint.space_id == load_checkpoint(tiny_run).space_id


def test_every_stretch_takes_as_many_steps_as_were_announced(tiny_watcher: Watcher) -> None:
    titles = [title for title, _, _ in tiny_watcher.stretches]
    assert titles == [
        *("choosing epochs", "fitting the score", "training on all"),
        "ranker, origin 1: asking for candidates",
        *(f"ranker, origin {number}: {what}" for number in (2, 3) for what in ("training", "asking for candidates")),
        "ranker: fitting",
    ]
    assert tiny_watcher.advances == [step_count for _, step_count, _ in tiny_watcher.stretches]
    assert {done_count for _, _, done_count in tiny_watcher.stretches} == {0}
    assert [(report.phase, report.epoch) for report in tiny_watcher.reports] == [
        *(("select", epoch) for epoch in (1, 2, 3)),
        *(("refit", epoch) for epoch in range(1, len(tiny_watcher.reports) - 2)),
    ]


def test_what_was_done_before_is_announced_and_not_done_again(
    train_tiny: TrainTiny,
    tiny_watcher: Watcher,
    watch: Callable[..., Watcher],
    interrupted: type[Exception],
    tmp_path: Path,
) -> None:
    with pytest.raises(interrupted):
        train_tiny(tmp_path / "run", watch(stop_at=after(tiny_watcher.calls, "choosing epochs", 2, "epoch")))
    second = watch()
    train_tiny(tmp_path / "run", second)
    for (_, step_count, done_count), advances in zip(second.stretches, second.advances, strict=True):
        assert done_count + advances == step_count
    assert second.stretches[0][2] == 2 * second.stretches[0][1] // 3


def test_patience_ends_the_choice_of_epochs(
    train_tiny: TrainTiny, tiny_config: TrainConfig, watch: Callable[..., Watcher], tmp_path: Path
) -> None:
    """With rates of next to nothing no epoch is better than the first."""
    stuck = tiny_config.model_copy(
        update={
            "learning_rate": 1e-12,
            "item_learning_rate": 1e-12,
            "decay": DecayConfig(learning_rate=1e-12),
            "epochs": 20,
            "patience": 2,
        }
    )
    observer = watch()
    checkpoint = train_tiny(tmp_path / "run", observer, stuck)
    assert [(report.phase, report.epoch) for report in observer.reports] == [
        ("select", 1),
        ("select", 2),
        ("select", 3),
        ("refit", 1),
    ]
    assert checkpoint.settings == stuck


def test_epochs_after_the_best_one_change_nothing(
    train_tiny: TrainTiny, tiny_config: TrainConfig, watch: Callable[..., Watcher], tmp_path: Path
) -> None:
    """With a rate that soon spoils the item vectors, later epochs are worse."""
    spoiling = tiny_config.model_copy(update={"item_learning_rate": 0.05, "epochs": 5})
    observer = watch()
    longer = train_tiny(tmp_path / "longer", observer, spoiling)
    ndcg_E = [report.validation["ndcg@50"] for report in observer.reports if report.phase == "select"]
    best = 1 + ndcg_E.index(max(ndcg_E))
    assert best < len(ndcg_E)
    shorter = train_tiny(tmp_path / "shorter", watch(), spoiling.model_copy(update={"epochs": best}))
    assert (longer.space_id, longer.scoring, longer.training) == (shorter.space_id, shorter.scoring, shorter.training)
