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
from unbraid_training.config import TrainConfig

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
    stop = tiny_watcher.position(*STOPS[place])
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
            train_tiny(path, watch(stop_at=tiny_watcher.position("choosing epochs", epochs, "epoch")))
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
        train_tiny(folder, watch(stop_at=tiny_watcher.position(*stop)))
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
