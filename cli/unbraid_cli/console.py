"""Where the command line writes: answers to stdout, progress and errors to stderr."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["console", "error_console", "progress"]

console = Console(highlight=False)
error_console = Console(stderr=True, highlight=False)


def progress() -> Progress:
    """A progress display on stderr; it leaves one finished line per task."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=error_console,
    )
