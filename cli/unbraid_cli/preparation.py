"""What training needs before it begins: a device, the other processes if there are any, and the data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbraid_cli.console import console

if TYPE_CHECKING:
    from unbraid_training.data.dataset import Dataset
    from unbraid_training.data.splits import Split
    from unbraid_training.device import DeviceChoice
    from unbraid_training.experiment import Experiment

__all__ = ["Prepared", "prepared"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that an experiment needs; under torchrun only one process ``speaks``."""

    dataset: Dataset
    split: Split
    choice: DeviceChoice
    speaks: bool


@contextmanager
def prepared(experiment: Experiment) -> Iterator[Prepared]:
    """Within this context the processes of a training are joined, and each has read the data."""
    import torch

    from unbraid_training.data.sources import open_dataset
    from unbraid_training.data.splits import parse_split
    from unbraid_training.device import choose_device
    from unbraid_training.ranks import first_then_others, is_first, joined, rank_count

    split = parse_split(experiment.data.split)
    choice = choose_device(experiment.run.device)
    torch.set_num_threads(experiment.run.threads)
    with joined(choice.device):
        # The first process before the others, so that what is wrong with the data is said once.
        dataset, report = first_then_others(lambda: open_dataset(experiment.data.path))
        if is_first():
            for line in report.lines():
                console.print(line, markup=False, soft_wrap=True)
            together = f" in {rank_count()} processes" if rank_count() > 1 else ""
            console.print(f"device: {choice.device} ({choice.reason}){together}", markup=False, soft_wrap=True)
        yield Prepared(dataset, split, choice, is_first())
