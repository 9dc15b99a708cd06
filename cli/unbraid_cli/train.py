"""``unbraid train``: events and items to a trained encoder."""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from unbraid_cli.console import console, facts_table, progress
from unbraid_cli.preparation import prepared
from unbraid_core.counted import counted

if TYPE_CHECKING:
    from unbraid_training.checkpoint import Checkpoint
    from unbraid_training.observer import EpochReport

__all__ = ["TrainingDisplay", "print_half_lives", "train"]

DAY_S = 86_400.0


def train(
    config: Annotated[
        Path | None, typer.Option(help="An experiment as TOML: see docs/training.md. Other options come before it.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder with events and items: see unbraid data check.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; an interrupted run there goes on.", show_default="run")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="What to train on: all, or what a hold-out leaves: last-10 (of each user), before-DATE, "
            "before-DATE-until-DATE (DATE as 2011-11-01).",
            show_default="all",
        ),
    ] = None,
    interests: Annotated[
        int | None, typer.Option(min=1, max=64, help="Interests of a user, K.", show_default="4")
    ] = None,
    dimension: Annotated[
        int | None, typer.Option(min=2, max=4096, help="Dimensions of the vectors, D.", show_default="64")
    ] = None,
    max_history: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Newest events that count, L.", show_default="50")
    ] = None,
    decay: Annotated[
        Literal["learned", "fixed", "none"] | None,
        typer.Option(
            help="How interests fade: at half-lives that are learned, or fixed where they start, or not at all.",
            show_default="learned",
        ),
    ] = None,
    half_life: Annotated[
        list[float] | None,
        typer.Option(
            help="Days, where half-lives start: one for all interests, or the option once for each; log-spaced without."
        ),
    ] = None,
    item_text: Annotated[
        str | None,
        typer.Option(
            help="Vectors from the items' text, also for items that come later: none, tfidf, or a folder with a "
            "pretrained sentence encoder.",
            show_default="none",
        ),
    ] = None,
    trunk: Annotated[
        Literal["none", "transformer", "lstm", "gru", "conv"] | None,
        typer.Option(
            help="What reads the events as a sequence before interests are taken out of them.", show_default="none"
        ),
    ] = None,
    no_time: Annotated[
        bool, typer.Option("--no-time", help="The encoder reads the order of events only, not when they happened.")
    ] = False,
    extraction: Annotated[
        Literal["self-attentive", "dynamic-routing"] | None,
        typer.Option(help="How events are shared out over interests.", show_default="self-attentive"),
    ] = None,
    short_term: Annotated[bool, typer.Option("--short-term", help="Fuse the last session into the interests.")] = False,
    session_s: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Events at most so many seconds older than the newest are the last session.",
            show_default="86400",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="At most; training stops when validation does not improve.", show_default="30"),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of everything random.", show_default="1")] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Of PyTorch; more pay off with larger models, on idle cores.", show_default="1"),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"] | None,
        typer.Option(help="cuda multiplies in bf16 and fails where it cannot be had.", show_default="auto"),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the experiment as TOML, with every setting, and stop.")
    ] = False,
) -> None:
    """Train a multi-interest encoder, choosing epochs and score weights on held-out users.

    Training runs twice: once on a part, to find how long to train and how to weigh the terms of the score, then on all
    events that the split leaves. The same seed and threads give the same model on the same machine.
    RUN/metrics.jsonl has a line an epoch, RUN/report.html shows them.
    """
    from unbraid_training.experiment import read_experiment

    sizes: dict[str, object] = {"interest_count": interests, "dimension": dimension, "max_history": max_history}
    fading = {"kind": decay, "half_lives_s": _half_lives_s(half_life)}
    encoder: dict[str, object] = {
        "trunk": trunk,
        "time": False if no_time else None,
        "extraction": extraction,
        "short_term": True if short_term else None,
        "session_s": session_s,
    }
    flags: dict[str, dict[str, object]] = {
        "data": {"path": data, "split": split},
        "run": {"out": out, "device": device, "threads": threads},
        "train": {
            **sizes,
            "encoder": encoder,
            "decay": fading,
            "content": {"text": item_text},
            "epochs": epochs,
            "seed": seed,
        },
    }
    experiment = read_experiment(config, flags)
    if print_config:
        console.print(experiment.to_toml(), end="", markup=False, soft_wrap=True)
        return
    with prepared(experiment) as job:
        from unbraid_training.train import train as run_training

        with TrainingDisplay() as display:
            checkpoint = run_training(job.dataset, job.split, experiment.train, experiment.run.out, display, job.choice)
        if job.speaks:
            print_half_lives(checkpoint)
            console.print(f"report: {experiment.run.out / 'report.html'}", markup=False, soft_wrap=True)
            console.print(f"next: unbraid export {experiment.run.out}", markup=False, soft_wrap=True)


def _half_lives_s(days: list[float] | None) -> list[float] | None:
    from unbraid_core.errors import InvalidInput

    if not days:
        return None
    if any(not 0 < each < math.inf for each in days):
        raise InvalidInput("--half-life", f"is {min(days):g} days; half-lives are above 0 and finite")
    return [DAY_S * each for each in days]


def print_half_lives(checkpoint: Checkpoint) -> None:
    """What was learned, in a few numbers."""
    validation, scoring = checkpoint.training.validation, checkpoint.scoring
    kind = checkpoint.settings.decay.kind
    days = ", ".join(f"{half_life_s / DAY_S:.3g}" for half_life_s in checkpoint.half_life_s_K)
    facts = {
        "events": f"{checkpoint.training.event_count:,} of {counted(checkpoint.training.user_count, 'user')}",
        "validation": f"recall@50 {validation['recall@50']:.4f}, ndcg@50 {validation['ndcg@50']:.4f}",
        "half-lives": "none, nothing fades" if kind == "none" else f"{days} days, {kind}",
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
        found = f"  validation recall@50 {recall:.4f}" if recall is not None else ""
        # An interest that collapses rests on all events or on none, and is like the others.
        apart = (
            f"  interests: {report.effective_events:.1f} events each, usage {report.usage_entropy:.2f} nats, "
            f"cosine {report.cosine:.2f}"
        )
        line = f"{self._title}  epoch {report.epoch:>2}  loss {report.loss:.4f}{found}{apart}"
        self._progress.console.print(escape(line), style="dim", soft_wrap=True)

    def _finish(self) -> None:
        """Early stopping leaves a bar short of its end: say that the stretch is over."""
        for task in self._progress.tasks:
            if task.id == self._task and task.total:
                self._progress.update(self._task, total=task.completed)
