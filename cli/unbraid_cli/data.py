"""``unbraid data``: what unbraid makes of your files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from unbraid_cli.console import console
from unbraid_core.counted import counted

if TYPE_CHECKING:
    from unbraid_training.data.dataset import Dataset
    from unbraid_training.data.report import ReadReport

__all__ = ["app", "print_data"]

app = typer.Typer(help="Look at events and items before training on them.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep ``check`` a command of its own, though it is the only one."""


@app.command()
def check(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Folder with events.{csv,csv.gz,parquet} and optionally items.{csv,csv.gz,parquet}."
        ),
    ],
) -> None:
    """Read a data folder and report, for every reason, the rows that are left out."""
    from unbraid_training.data.sources import open_dataset

    print_data(*open_dataset(source))


def print_data(dataset: Dataset, report: ReadReport) -> None:
    """What was read, what of it was left out and why, and what there is now."""
    table = Table("file", "rows", "what", "first in", box=None, pad_edge=False, header_style="dim")
    table.columns[1].justify = "right"
    for file, what, count, place in report.rows():
        table.add_row(escape(file), count, escape(what), escape(place))
    console.print(table)
    console.print()
    console.print(_summary(dataset))


def _summary(dataset: Dataset) -> str:
    first, last = (
        datetime.fromtimestamp(time_s, UTC).date() for time_s in (dataset.time_s_E.min(), dataset.time_s_E.max())
    )
    counts = (len(dataset.user_ids), "user"), (len(dataset.catalogue), "item"), (len(dataset), "event")
    return ", ".join([*(counted(count, one) for count, one in counts), f"{first} to {last}"])
