"""Where the command line writes: answers to stdout, progress and errors to stderr."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

__all__ = ["console", "error_console", "facts_table", "progress"]

console = Console(highlight=False)
error_console = Console(stderr=True, highlight=False)


def progress() -> Progress:
    """A progress display on stderr: the time left of every task, then how long it took."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=error_console,
    )


def facts_table(facts: Mapping[str, str]) -> Table:
    """Names and values, one pair a line."""
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        table.add_row(Text(name, style="dim"), Text(value))
    return table
