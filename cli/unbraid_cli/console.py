"""Where the command line writes: answers to stdout, progress and errors to stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

__all__ = ["console", "error_console", "facts_table", "in_one_line", "progress", "rows_table", "step_progress"]

LINE_EVERY_S = 10.0
CONTROL_CHARACTERS = (*range(0x20), *range(0x7F, 0xA0))
IN_ONE_LINE = dict.fromkeys(CONTROL_CHARACTERS, " ")

# What users name is printed as it is, :smile: too.
console = Console(highlight=False, emoji=False)
error_console = Console(stderr=True, highlight=False, emoji=False)


def progress() -> Progress:
    """A progress display on stderr: the time left of every task, then how long it took."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=error_console,
    )


@contextmanager
def step_progress() -> Iterator[Callable[[str, int, int], None]]:
    """A callback for work in steps, told the step in words, how much of it is done and how much there is.

    A terminal shows a bar for each step; elsewhere, in a log for example, lines tell how far the work is.
    """
    if not error_console.is_terminal:
        yield _StepLines()
        return
    with progress() as shown:
        tasks = {}

        def on_progress(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = shown.add_task(step, total=total)
            shown.update(tasks[step], completed=done, total=total)

        yield on_progress


class _StepLines:
    """Writes a line when a step begins, from time to time while it goes on, and when it is done for the first time."""

    def __init__(self) -> None:
        self._is_done: dict[str, bool] = {}
        self._told_s = 0.0

    def __call__(self, step: str, done: int, total: int) -> None:
        now_s = time.monotonic()
        was_done = self._is_done.get(step)
        is_done = bool(was_done) or done >= total
        self._is_done[step] = is_done
        if was_done != is_done or now_s - self._told_s >= LINE_EVERY_S:
            self._told_s = now_s
            error_console.print(f"{step}: {done:,} of {total:,}", markup=False, soft_wrap=True)


def rows_table(rows: Sequence[Sequence[str]]) -> Table:
    """Rows of plain text, the first of which is the head."""
    head, *body = rows
    table = Table(*(escape(cell) for cell in head), box=None, pad_edge=False, header_style="bold")
    for cells in body:
        table.add_row(*(escape(in_one_line(cell)) for cell in cells))
    return table


def in_one_line(name: str) -> str:
    """A name or title as it may be printed: no control character of it reaches the terminal."""
    return name.translate(IN_ONE_LINE)


def facts_table(facts: Mapping[str, str]) -> Table:
    """Names and values, one pair a line."""
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        table.add_row(Text(name, style="dim"), Text(value))
    return table
