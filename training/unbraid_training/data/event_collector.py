"""Events from tables, batch by batch, to a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from unbraid_core.catalogue import Catalogue
from unbraid_core.types import DoubleArray
from unbraid_training.data.columns import Column, IndexArray, equals
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.event_order import order_events, take
from unbraid_training.data.ledger import Ledger
from unbraid_training.data.line_runs import LineRuns
from unbraid_training.data.report import Finding, Reason
from unbraid_training.data.row_filter import RowFilter
from unbraid_training.data.times import MISSING_TIME, TIME_OUT_OF_RANGE, UNPARSABLE_TIME, parse_times
from unbraid_training.data.vocabulary import Vocabulary

__all__ = [
    "DUPLICATE_EVENT",
    "MISSING_ITEM_ID",
    "MISSING_USER_ID",
    "UNKNOWN_ITEM",
    "EventCollector",
    "EventColumns",
]

N = TypeVar("N", np.int32, np.float64)

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


class EventCollector:
    """Takes the usable events out of the batches of a file; 20 bytes an event, and the ids.

    Args:
        catalogue: the items that count; without it, all items of the events in the order of their first appearance.
    """

    def __init__(self, catalogue: Catalogue | None) -> None:
        self._catalogue = catalogue
        self._users = Vocabulary()
        self._items = Vocabulary() if catalogue is None else Vocabulary(catalogue.item_ids)
        # The unspecified action stands first whether or not an event has it.
        self._actions = Vocabulary([""])
        self._lines = LineRuns()
        self._user_parts: list[IndexArray] = []
        self._row_parts: list[IndexArray] = []
        self._action_parts: list[IndexArray] = []
        self._time_s_parts: list[DoubleArray] = []

    def add(self, rows: RowFilter, columns: EventColumns) -> None:
        """Take the events of one batch; ``rows`` decides about its rows, and loses those that are of no use."""
        times = parse_times(columns.time_N)
        rows.reject(equals(columns.user_id_N, ""), MISSING_USER_ID)
        rows.reject(equals(columns.item_id_N, ""), MISSING_ITEM_ID)
        rows.reject(times.missing_N, MISSING_TIME)
        rows.reject(times.outside_N, TIME_OUT_OF_RANGE, columns.time_N)
        rows.reject(times.unparsable_N, UNPARSABLE_TIME, columns.time_N)
        if self._catalogue is not None:
            rows.reject(self._items.find(columns.item_id_N) < 0, UNKNOWN_ITEM, columns.item_id_N)
        kept_E = rows.kept()
        self._user_parts.append(self._users.add(columns.user_id_N.take(kept_E)))
        self._row_parts.append(self._items.add(columns.item_id_N.take(kept_E)))
        self._action_parts.append(self._actions.add(columns.action_N.take(kept_E)))
        self._time_s_parts.append(times.time_s_N[kept_E])
        self._lines.add(rows.line_N[kept_E])

    def dataset(self, ledger: Ledger) -> Dataset:
        """All events that were taken, of which repeats are dropped; users are in the order of first appearance.

        Of events with the same user, item, time and action the first is kept. The collector is empty afterwards.

        Raises:
            InvalidInput: no usable event is left.
        """
        ledger.require_rows()
        user_ids, item_ids = self._users.ids, self._items.ids
        user_N, row_N, action_N = (_joined(parts) for parts in (self._user_parts, self._row_parts, self._action_parts))
        time_s_N = _joined(self._time_s_parts)
        order = order_events(user_N, row_N, action_N, time_s_N, len(user_ids))
        if order.repeat_count:
            example, line = item_ids[row_N[order.first_repeat]], self._lines.line(order.first_repeat)
            ledger.add(Finding(DUPLICATE_EVENT, order.repeat_count, line, example, dropped=True))
        # Column by column, so that at any time only one of them exists twice.
        user_N = take(user_N, order.position_E)
        row_N = take(row_N, order.position_E)
        action_N = take(action_N, order.position_E)
        time_s_N = take(time_s_N, order.position_E)
        actions = sorted(self._actions.ids)
        code_A = np.array([actions.index(action) for action in self._actions.ids], np.int32)
        return Dataset(
            self._catalogue or Catalogue.of(item_ids),
            user_ids,
            actions,
            user_N,
            row_N,
            time_s_N,
            take(code_A, action_N),
        )


def _joined(parts: list[npt.NDArray[N]]) -> npt.NDArray[N]:
    """One array of all parts, which are given up."""
    joined: npt.NDArray[N] = np.concatenate(parts)
    parts.clear()
    return joined
