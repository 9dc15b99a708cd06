"""``unbraid sweep``: the same experiment with different settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unbraid_cli.console import console, error_console, rows_table
from unbraid_cli.preparation import prepared

if TYPE_CHECKING:
    from unbraid_training.checkpoint import Checkpoint
    from unbraid_training.sweep import Point

__all__ = ["sweep"]


def sweep(
    config: Annotated[
        Path, typer.Argument(metavar="EXPERIMENT", help="A TOML file with a table [sweep]: see docs/training.md.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of all runs; an interrupted sweep there goes on.", show_default="run")
    ] = None,
) -> None:
    """Train one run after the other with all combinations of settings, or a sample of them, and compare the runs.

    They are compared by NDCG@50 on users held out inside the training events; what the split holds out is never looked
    at. OUT/sweep.md has the table, OUT/best.toml the best experiment.
    """
    from unbraid_cli.train import TrainingDisplay
    from unbraid_training.experiment import read_experiment
    from unbraid_training.sweep import run_sweep
    from unbraid_training.train import train

    experiment = read_experiment(config, {"run": {"out": out}})
    with prepared(experiment) as job:

        def train_point(point: Point) -> Checkpoint:
            settings, folder = point.experiment.train, point.experiment.run.out
            with TrainingDisplay() as display:
                return train(job.dataset, job.split, settings, folder, display, job.choice)

        def announce(number: int, count: int, point: Point) -> None:
            if job.speaks:
                error_console.print(f"run {number} of {count}: {point}", markup=False, soft_wrap=True)

        table = run_sweep(experiment, train_point, announce)
        if job.speaks:
            console.print(rows_table(table.rows()))
            best = experiment.run.out / table.results[0].folder
            console.print(f"next: unbraid export {best}", markup=False, soft_wrap=True)
