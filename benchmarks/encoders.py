"""What each part of an encoder brings: trains variants in turn and scores them on a held-out window.

    python benchmarks/encoders.py --data DATA --split SPLIT [--epochs 4] [--seed 1] [--variants NAME ...] [--save FILE]

A variant is named as in a release, such as gru+time/self-attentive/short-term. Each is trained as `unbraid train` does
it, but for the ranker: epochs (at most so many) and score are chosen on an inner split, then all training events are
learnt. Prints, for every variant, the epochs chosen, CPU seconds of the whole run and of an epoch of the final
training, and NDCG@50 of the serving pipeline (PyTorch encoder, exact search, score by formula), task new and all.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import NamedTuple, get_args

import torch
from rich.console import Console
from rich.table import Table

from unbraid_core.errors import UnbraidError
from unbraid_training.checkpoint import Checkpoint
from unbraid_training.config import TrainConfig, TrunkName, every_encoder
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.holdout import Holdout
from unbraid_training.data.sources import open_dataset
from unbraid_training.data.splits import Split, parse_split
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.metrics import user_metrics
from unbraid_training.evaluation.system import rank_with_pipeline
from unbraid_training.observer import EpochReport
from unbraid_training.ranker.config import RankerConfig
from unbraid_training.train import train
from unbraid_training.validation import model_pipeline

ENCODERS = {config.architecture: config for config in every_encoder()}
DEFAULT = (
    *(f"{trunk}+time/self-attentive" for trunk in get_args(TrunkName)),
    "none/self-attentive",
    "none+time/dynamic-routing",
    "none+time/self-attentive/short-term",
)


class Result(NamedTuple):
    """What is measured of a variant."""

    encoder: str
    epochs: int
    seconds: float
    epoch_seconds: float
    ndcg_new: float
    ndcg_all: float


class Clock:
    """A TrainingObserver that notes when the epochs of the final training are over."""

    def __init__(self) -> None:
        self._refit_s: list[float] = []

    @property
    def epoch_count(self) -> int:
        """Epochs of the final training."""
        return len(self._refit_s) - 1

    @property
    def epoch_seconds(self) -> float:
        """Mean duration of one of them."""
        return (self._refit_s[-1] - self._refit_s[0]) / self.epoch_count

    def begin(self, *_: object) -> None:
        """The final training is the last stretch of work."""
        self._refit_s = [process_time()]

    def advance(self) -> None:
        """Steps are not timed."""

    def epoch(self, _: EpochReport) -> None:
        """An epoch is over."""
        self._refit_s.append(process_time())


def measure(dataset: Dataset, split: Split, holdout: Holdout, settings: TrainConfig) -> Result:
    """Train one variant and score it."""
    clock, start = Clock(), process_time()
    with TemporaryDirectory() as folder:
        checkpoint = train(dataset, split, settings, Path(folder) / "run", clock)
    seconds = process_time() - start
    new, both = (ndcg(checkpoint, holdout, task) for task in (Task.NEW, Task.ALL))
    return Result(settings.encoder.architecture, clock.epoch_count, seconds, clock.epoch_seconds, new, both)


def ndcg(checkpoint: Checkpoint, holdout: Holdout, task: Task) -> float:
    """Mean NDCG@50 over all held-out users."""
    pipeline = model_pipeline(checkpoint.model, holdout.train, checkpoint.scoring, checkpoint.settings.max_history)
    cases = Cases.of(holdout, task)
    row_HR = rank_with_pipeline(pipeline, cases, lambda _: None)
    return float(user_metrics(row_HR, cases.targets, len(cases.catalogue))["ndcg@50"].mean())


def show(results: list[Result]) -> None:
    """Print the table."""
    table = Table("encoder", "epochs", "CPU seconds", "an epoch", "NDCG@50 new", "NDCG@50 all")
    for result in results:
        figures = f"{result.seconds:.0f}", f"{result.epoch_seconds:.1f}", f"{result.ndcg_new:.4f}"
        table.add_row(result.encoder, str(result.epochs), *figures, f"{result.ndcg_all:.4f}")
    Console(width=120).print(table)


def main() -> int:
    """Measure every variant that was asked for, print the table and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that unbraid train can read")
    parser.add_argument("--split", required=True, help="what to hold out, such as before-DATE-until-DATE")
    parser.add_argument("--epochs", type=int, default=4, help="at most")
    parser.add_argument("--seed", type=int, default=1, help="of everything random")
    parser.add_argument("--variants", nargs="+", default=DEFAULT, choices=ENCODERS, metavar="NAME")
    parser.add_argument("--save", type=Path, help="JSON file to write the results to, after each variant")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results: list[Result] = []
    try:
        dataset, _ = open_dataset(options.data)
        split = parse_split(options.split)
        holdout = split.apply(dataset)
        for name in options.variants:
            settings = TrainConfig(
                epochs=options.epochs,
                seed=options.seed,
                encoder=ENCODERS[name],
                ranker=RankerConfig(origin_count=0),
            )
            results.append(measure(dataset, split, holdout, settings))
            sys.stderr.write(f"{results[-1]}\n")
            if options.save:
                options.save.write_text(json.dumps([result._asdict() for result in results], indent=2) + "\n")
    except UnbraidError as error:
        sys.stderr.write(f"error: {error.message}\n")
        return 2
    show(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
