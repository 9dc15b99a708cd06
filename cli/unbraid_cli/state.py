"""``unbraid state``: the histories of users, which no release ever holds."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unbraid_cli.console import console, progress
from unbraid_cli.options import STATE, State
from unbraid_core.counted import counted

if TYPE_CHECKING:
    from unbraid_server.sqlite_state import SqliteStateStore
    from unbraid_training.data.dataset import Dataset
    from unbraid_training.data.report import ReadReport

__all__ = ["app", "store_events"]

app = typer.Typer(help="Fill, count and erase the histories of users.", no_args_is_help=True)

EVENTS_PER_STEP = 5_000


@app.command("import")
def import_events(
    source: Annotated[
        Path, typer.Argument(metavar="DIR_OR_FILE", help="A data folder, or an events file (.csv, .csv.gz, .parquet).")
    ],
    state: State = STATE,
) -> None:
    """Store the events of a data folder or file; what is stored already changes nothing, so it can be run again."""
    dataset, report = _read(source)
    for line in report.lines():
        console.print(line, markup=False, soft_wrap=True)
    store_events(dataset, state)


def store_events(dataset: Dataset, state: Path) -> None:
    """Store the events of a data set, and print how many of them are new."""
    from unbraid_server.sqlite_state import SqliteStateStore
    from unbraid_training.data.events import iter_user_events

    store = SqliteStateStore(state)
    events = iter_user_events(dataset)
    new_count = 0
    with progress() as display:
        task = display.add_task("storing events", total=len(dataset))
        while step := list(islice(events, EVENTS_PER_STEP)):
            new_count += store.append(step)
            display.advance(task, len(step))
    store.close()
    console.print(
        f"{state}: {counted(new_count, 'new event')}, {len(dataset) - new_count:,} known before, "
        f"of {counted(len(dataset.user_ids), 'user')}",
        markup=False,
        soft_wrap=True,
    )


@app.command()
def count(state: State = STATE) -> None:
    """Print how many users and events are stored."""
    store = _existing(state)
    console.print(f"users: {store.count_users():,}, events: {store.count_events():,}")


@app.command()
def delete(user: Annotated[str, typer.Argument(metavar="USER", help="Id of the user.")], state: State = STATE) -> None:
    """Erase all events of a user; the bytes in the file are overwritten."""
    removed_count = _existing(state).delete_user(user)
    console.print(f"user {user}: {counted(removed_count, 'event')} erased", markup=False, soft_wrap=True)


def _read(source: Path) -> tuple[Dataset, ReadReport]:
    from unbraid_training.data.events import read_events
    from unbraid_training.data.report import ReadReport
    from unbraid_training.data.sources import open_dataset

    if source.is_dir():
        return open_dataset(source)
    dataset, report = read_events(source)
    return dataset, ReadReport((report,))


def _existing(state: Path) -> SqliteStateStore:
    """Open a store for a question that makes no sense for a new one."""
    from unbraid_core.errors import NotFound
    from unbraid_server.sqlite_state import SqliteStateStore

    if not state.exists():
        raise NotFound(f"{state}: no such file; fill it with: unbraid state import")
    return SqliteStateStore(state)
