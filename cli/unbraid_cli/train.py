"""``unbraid train``: events and items to a trained encoder."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from unbraid_cli.console import console, facts_table, progress

if TYPE_CHECKING:
    from unbraid_training.checkpoint import Checkpoint
    from unbraid_training.observer import EpochReport

__all__ = ["TrainingDisplay", "print_half_lives", "train"]

DAY_S = 86_400.0


def train(
    data: Annotated[Path, typer.Option("--data", help="Folder with events and items: see unbraid data check.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; an interrupted run there goes on.")] = Path("run"),
    split: Annotated[
        str,
        typer.Option(
            help="What to train on: all, or what a hold-out leaves: last-10 (of each user), before-DATE, "
            "before-DATE-until-DATE (DATE as 2011-11-01)."
        ),
    ] = "all",
    interests: Annotated[int, typer.Option(min=1, max=64, help="Interests of a user, K.")] = 4,
    dimension: Annotated[int, typer.Option(min=2, max=4096, help="Dimensions of the vectors, D.")] = 64,
    max_history: Annotated[int, typer.Option(min=1, max=10_000, help="Newest events that count, L.")] = 50,
    trunk: Annotated[
        Literal["none", "transformer", "lstm", "gru", "conv"],
        typer.Option(help="What reads the events as a sequence before interests are taken out of them."),
    ] = "none",
    no_time: Annotated[
        bool, typer.Option("--no-time", help="The encoder reads the order of events only, not when they happened.")
    ] = False,
    extraction: Annotated[
        Literal["self-attentive", "dynamic-routing"], typer.Option(help="How events are shared out over interests.")
    ] = "self-attentive",
    short_term: Annotated[bool, typer.Option("--short-term", help="Fuse the last session into the interests.")] = False,
    session_s: Annotated[
        int, typer.Option(min=1, help="Events at most so many seconds older than the newest are the last session.")
    ] = 86_400,
    epochs: Annotated[int, typer.Option(min=1, help="At most; training stops when validation does not improve.")] = 30,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 1,
    threads: Annotated[
        int, typer.Option(min=1, help="Of PyTorch; more pay off with larger models, on idle cores.")
    ] = 1,
) -> None:
    """Train a multi-interest encoder, choosing epochs and score weights on held-out users.

    Training runs twice: once on a part, to find how long to train and how to weigh the terms of the score, then on all
    events that the split leaves. The same seed and threads give the same model on the same machine.
    RUN/metrics.jsonl has a line an epoch.
    """
    import torch

    from unbraid_training.config import EncoderConfig, TrainConfig
    from unbraid_training.data.sources import open_dataset
    from unbraid_training.data.splits import parse_split
    from unbraid_training.train import train as run_training

    rule = parse_split(split)
    dataset, report = open_dataset(data)
    for line in report.lines():
        console.print(line, markup=False, soft_wrap=True)
    settings = TrainConfig(
        interest_count=interests,
        dimension=dimension,
        max_history=max_history,
        encoder=EncoderConfig(
            trunk=trunk, time=not no_time, extraction=extraction, short_term=short_term, session_s=session_s
        ),
        epochs=epochs,
        seed=seed,
    )
    torch.set_num_threads(threads)
    with TrainingDisplay() as display:
        checkpoint = run_training(dataset, rule, settings, out, display)
    print_half_lives(checkpoint)
    console.print(f"next: unbraid export {out}", markup=False, soft_wrap=True)


def print_half_lives(checkpoint: Checkpoint) -> None:
    """What was learned, in a few numbers."""
    validation, scoring = checkpoint.training.validation, checkpoint.scoring
    days = ", ".join(f"{half_life_s / DAY_S:.3g}" for half_life_s in checkpoint.half_life_s_K)
    facts = {
        "events": f"{checkpoint.training.event_count:,} of {checkpoint.training.user_count:,} users",
        "validation": f"recall@50 {validation['recall@50']:.4f}, ndcg@50 {validation['ndcg@50']:.4f}",
        "half-lives": f"{days} days",
        "score weights": f"interest {scoring.beta:g}, popularity {scoring.gamma:g}, own frequency {scoring.delta:g}",
        "popularity": f"halves every {scoring.popularity_half_life_s / DAY_S:g} days",
    }
    console.print(facts_table(facts))


class TrainingDisplay:
    """A TrainingObserver: a progress bar for each stretch of work, a line for each epoch."""

    def __init__(self) -> None:
        self._progress = progress()
        self._title = ""
        self._task = self._progress.add_task("", visible=False)

    def __enter__(self) -> TrainingDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress.live.is_started:
            self._progress.stop()

    def begin(self, title: str, step_count: int, done_count: int) -> None:
        """A stretch of work begins; the one before is over, wherever its bar stood."""
        # Not earlier: what is refused before any work leaves one line on stderr, and no empty display above it.
        self._progress.start()
        self._finish()
        self._title = title
        self._task = self._progress.add_task(title, total=step_count, completed=done_count)

    def advance(self) -> None:
        """One step is done."""
        self._progress.advance(self._task)

    def epoch(self, report: EpochReport) -> None:
        """Print a line for the epoch."""
        recall = report.validation.get("recall@50")
        found = f"validation recall@50 {recall:.4f}" if recall is not None else ""
        line = f"{self._title}  epoch {report.epoch:>2}  loss {report.loss:.4f}  {found}"
        self._progress.console.print(escape(line.rstrip()), style="dim")

    def _finish(self) -> None:
        """Early stopping leaves a bar short of its end: say that the stretch is over."""
        for task in self._progress.tasks:
            if task.id == self._task and task.total:
                self._progress.update(self._task, total=task.completed)
