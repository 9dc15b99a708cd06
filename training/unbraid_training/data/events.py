"""Events: from columns of a file to a data set, and from a data set to single events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from unbraid_core.catalogue import Catalogue
from unbraid_core.ports import Event, UserEvent
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.event_collector import (
    DUPLICATE_EVENT,
    MISSING_ITEM_ID,
    MISSING_USER_ID,
    UNKNOWN_ITEM,
    EventCollector,
    EventColumns,
)
from unbraid_training.data.ledger import Ledger
from unbraid_training.data.report import FileReport
from unbraid_training.data.row_filter import RowFilter
from unbraid_training.data.tables import iter_tables

__all__ = [
    "DUPLICATE_EVENT",
    "MISSING_ITEM_ID",
    "MISSING_USER_ID",
    "UNKNOWN_ITEM",
    "EventColumns",
    "build_dataset",
    "iter_user_events",
    "read_events",
]

COLUMNS = ("user_id", "item_id", "timestamp", "action")


def read_events(path: Path, catalogue: Catalogue | None = None) -> tuple[Dataset, FileReport]:
    """Read a file with the columns user_id, item_id, timestamp and optionally action; others are ignored.

    A Parquet file is read in batches: at no time are all of its ids in memory as strings.

    Args:
        path: a .csv, .csv.gz or .parquet file.
        catalogue: the items that count; without it, all items of the events in the order of their first appearance.

    Raises:
        NotFound: there is no such file.
        InvalidInput: the file cannot be read, a column is missing, or no usable event is left.
    """
    ledger, collector = Ledger(path), EventCollector(catalogue)
    for table in iter_tables(path, COLUMNS):
        columns = EventColumns(
            table.text("user_id"), table.text("item_id"), table.column("timestamp"), table.optional_text("action")
        )
        collector.add(RowFilter(table, ledger), columns)
    return collector.dataset(ledger), ledger.report()


def build_dataset(rows: RowFilter, columns: EventColumns, catalogue: Catalogue | None) -> Dataset:
    """Make a data set of the events of one table; see EventCollector.

    Args:
        rows: decides about the rows that the columns were taken from.
        columns: the events.
        catalogue: the items that count; without it, all items of the events in the order of their first appearance.

    Raises:
        InvalidInput: no usable event is left.
    """
    collector = EventCollector(catalogue)
    collector.add(rows, columns)
    return collector.dataset(rows.ledger)


def iter_user_events(dataset: Dataset) -> Iterator[UserEvent]:
    """All events in outside terms, user by user, oldest first."""
    item_ids = dataset.catalogue.item_ids
    for user, row, time_s, action in zip(
        dataset.user_E.tolist(),
        dataset.row_E.tolist(),
        dataset.time_s_E.tolist(),
        dataset.action_E.tolist(),
        strict=True,
    ):
        yield UserEvent(dataset.user_ids[user], Event(item_ids[row], time_s, dataset.actions[action]))
