"""A small data set with planted interests, and a training run on it that takes about half a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from unbraid_training.checkpoint import Checkpoint, load_checkpoint
from unbraid_training.config import TrainConfig
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.splits import LastEvents
from unbraid_training.data.synthetic import SyntheticSpec, plant
from unbraid_training.observer import EpochReport
from unbraid_training.ranker.config import RankerConfig
from unbraid_training.train import train


class Interrupted(Exception):
    """Stands for a run that was stopped."""


class Watcher:
    """A TrainingObserver that writes down what it is told, and stops the run at the n-th call if asked to."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.calls: list[str] = []
        self.stretches: list[tuple[str, int, int]] = []
        self.advances: list[int] = []
        self.reports: list[EpochReport] = []
        self._stop_at = stop_at

    def begin(self, title: str, step_count: int, done_count: int) -> None:
        self.stretches.append((title, step_count, done_count))
        self.advances.append(0)
        self._called(f"begin {title}")

    def advance(self) -> None:
        self.advances[-1] += 1
        self._called("advance")

    def epoch(self, report: EpochReport) -> None:
        self.reports.append(report)
        self._called("epoch")

    def position(self, stretch: str, count: int, what: str) -> int:
        """Which call is the n-th of its kind after the begin of a stretch: where another run can be stopped."""
        begin = self.calls.index(f"begin {stretch}")
        return [at for at, call in enumerate(self.calls) if at >= begin and call.startswith(what)][count]

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if len(self.calls) - 1 == self._stop_at:
            raise Interrupted


TrainTiny = Callable[..., Checkpoint]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """As ``unbraid train`` does; sums in another order would give other bits."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_dataset() -> Dataset:
    """40 users with about 20 events each on 120 items."""
    return plant(SyntheticSpec(user_count=40, item_count=120, events_per_user=20)).dataset


@pytest.fixture(scope="session")
def tiny_config() -> TrainConfig:
    """Three epochs of a few batches."""
    return TrainConfig(dimension=16, epochs=3, batch_size=64, ranker=RankerConfig(tree_count=5))


@pytest.fixture(scope="session")
def train_tiny(tiny_dataset: Dataset, tiny_config: TrainConfig) -> TrainTiny:
    """Trains in a folder, stopped at the n-th call of its observer if one is given."""

    def run(folder: Path, observer: Watcher | None = None, config: TrainConfig = tiny_config) -> Checkpoint:
        return train(tiny_dataset, LastEvents(5), config, folder, observer or Watcher())

    return run


@pytest.fixture(scope="session")
def tiny_watcher() -> Watcher:
    """What the observer of ``tiny_run`` was told."""
    return Watcher()


@pytest.fixture(scope="session")
def tiny_run(train_tiny: TrainTiny, tiny_watcher: Watcher, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished, undisturbed run. Read it, never write there."""
    folder = tmp_path_factory.mktemp("tiny") / "run"
    train_tiny(folder, tiny_watcher)
    return folder


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_run: Path) -> Checkpoint:
    return load_checkpoint(tiny_run)


@pytest.fixture(scope="session")
def watch() -> Callable[..., Watcher]:
    """Makes an observer."""
    return Watcher


@pytest.fixture(scope="session")
def interrupted() -> type[Exception]:
    """What a stopped run raises."""
    return Interrupted
