"""Events: from columns of a file to a data set, and from a data set to single events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from unbraid_core.catalogue import Catalogue
from unbraid_core.ports import Event, UserEvent
from unbraid_core.types import BoolArray, DoubleArray, IntArray
from unbraid_training.data.columns import Column, codes, equals, known, strings
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.report import FileReport, Reason
from unbraid_training.data.row_filter import RowFilter
from unbraid_training.data.tables import read_table
from unbraid_training.data.times import MISSING_TIME, TIME_OUT_OF_RANGE, UNPARSABLE_TIME, Times, parse_times

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

MISSING_USER_ID = Reason("missing user id", "give every event a user id")
MISSING_ITEM_ID = Reason("missing item id", "give every row an item id")
UNKNOWN_ITEM = Reason("unknown item", "give every item of the events a row in the items file, under the same id")
DUPLICATE_EVENT = Reason("duplicate event", "write every event once")


@dataclass(frozen=True, slots=True, eq=False)
class EventColumns:
    """Events as they stand in a file's N rows, in outside terms; an empty string is a missing value."""

    user_id_N: pa.StringArray
    item_id_N: pa.StringArray
    time_N: Column
    action_N: pa.StringArray


def read_events(path: Path, catalogue: Catalogue | None = None) -> tuple[Dataset, FileReport]:
    """Read a file with the columns user_id, item_id, timestamp and optionally action; others are ignored.

    Args:
        path: a .csv, .csv.gz or .parquet file.
        catalogue: the items that count; without it, all items of the events in the order of their first appearance.

    Raises:
        NotFound: there is no such file.
        InvalidInput: the file cannot be read, a column is missing, or no usable event is left.
    """
    table = read_table(path, ("user_id", "item_id", "timestamp", "action"))
    columns = EventColumns(
        table.text("user_id"), table.text("item_id"), table.column("timestamp"), table.optional_text("action")
    )
    rows = RowFilter(table)
    return build_dataset(rows, columns, catalogue), rows.report()


def build_dataset(rows: RowFilter, columns: EventColumns, catalogue: Catalogue | None) -> Dataset:
    """Make a data set of the events that are left; users are in the order of their first appearance.

    Of events with the same user, item, time and action the first is kept.

    Args:
        rows: decides about the rows that the columns were taken from.
        columns: the events.
        catalogue: the items that count; without it, all items of the events in the order of their first appearance.

    Raises:
        InvalidInput: no usable event is left.
    """
    times = parse_times(columns.time_N)
    _reject_unusable(rows, columns, times, catalogue)
    kept_E = rows.kept()
    user_id_E, item_id_E, action_E = (
        column.take(kept_E) for column in (columns.user_id_N, columns.item_id_N, columns.action_N)
    )
    user_ids = user_id_E.unique()
    item_ids = item_id_E.unique() if catalogue is None else pa.array(catalogue.item_ids, pa.string())
    # The unspecified action stands first whether or not an event has it.
    actions = pa.array(["", *sorted(set(strings(action_E.unique())) - {""})], pa.string())
    return Dataset.of(
        catalogue or Catalogue.of(strings(item_ids)),
        strings(user_ids),
        strings(actions),
        codes(user_id_E, user_ids),
        codes(item_id_E, item_ids),
        times.time_s_N[kept_E],
        codes(action_E, actions),
    )


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


def _reject_unusable(rows: RowFilter, columns: EventColumns, times: Times, catalogue: Catalogue | None) -> None:
    rows.reject(equals(columns.user_id_N, ""), MISSING_USER_ID)
    rows.reject(equals(columns.item_id_N, ""), MISSING_ITEM_ID)
    rows.reject(times.missing_N, MISSING_TIME)
    rows.reject(times.outside_N, TIME_OUT_OF_RANGE, columns.time_N)
    rows.reject(times.unparsable_N, UNPARSABLE_TIME, columns.time_N)
    if catalogue is not None:
        item_ids = pa.array(catalogue.item_ids, pa.string())
        rows.reject(~known(columns.item_id_N, item_ids), UNKNOWN_ITEM, columns.item_id_N)
    rows.reject(_repeats(columns, times.time_s_N, rows.kept()), DUPLICATE_EVENT, columns.item_id_N)


def _repeats(columns: EventColumns, time_s_N: DoubleArray, kept_E: IntArray) -> BoolArray:
    """Kept rows with the same user, item, time and action as an earlier kept row."""
    names = (columns.user_id_N, columns.item_id_N, columns.action_N)
    keys = [column.take(kept_E).dictionary_encode().indices.to_numpy() for column in names]
    keys.append(np.unique(time_s_N[kept_E], return_inverse=True)[1])
    key_E4 = np.stack(keys, axis=1)
    order_E = np.lexsort(keys)
    same_as_before = np.all(key_E4[order_E[1:]] == key_E4[order_E[:-1]], axis=1)
    again_N: BoolArray = np.zeros(len(time_s_N), np.bool_)
    again_N[kept_E[order_E[1:][same_as_before]]] = True
    return again_N
