"""The catalogue of a release with the changes since: which items there are now, and what they say."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from heapq import merge
from itertools import islice
from typing import Any

import numpy as np

from unbraid_core.item_change import Item
from unbraid_core.live.delta import Delta
from unbraid_core.live.item_table import item_of
from unbraid_core.types import IntArray

__all__ = ["LiveCatalogue"]

FEW_ROWS = 6
"""So many rows one by one take less time than together."""


class LiveCatalogue:
    """Items by row, those of the release first. It never changes: a changed delta has a catalogue of its own."""

    def __init__(self, delta: Delta) -> None:
        self._delta = delta
        self._released = delta.released.catalogue
        self._count = len(self._released) - delta.replaced_count + len(delta.row_of)

    def __len__(self) -> int:
        """Number of living items."""
        return self._count

    def row(self, item_id: str) -> int:
        """The row of a living item, -1 where there is none."""
        return self._delta.row(item_id)

    def rows(self, item_ids: Sequence[str]) -> IntArray:
        """Where events on items count: int64 [len(item_ids)].

        That is the row of a living item. A deleted one counts as what the release has of it. Where that is nothing, and
        for an unknown item, it is -1.
        """
        row_N = self._released.rows(item_ids)
        row_of = self._delta.row_of
        if row_of:
            added_N = np.fromiter((row_of.get(item_id, -1) for item_id in item_ids), np.int64, len(item_ids))
            row_N = np.where(added_N >= 0, added_N, row_N)
        return row_N

    def living_rows(self, item_ids: Sequence[str]) -> IntArray:
        """The rows of living items, -1 where there is none: int64 [len(item_ids)]."""
        return np.fromiter(map(self._delta.row, item_ids), np.int64, len(item_ids))

    def ids(self, rows: IntArray) -> list[str]:
        """The ids of rows."""
        return self._values("item_id", rows)

    def titles(self, rows: IntArray) -> list[str]:
        """The titles of rows, empty where one has none."""
        return [title or "" for title in self._values("title", rows)]

    def category_lists(self, rows: IntArray) -> list[list[str]]:
        """The categories of rows."""
        return [names or [] for names in self._values("categories", rows)]

    def item(self, row: int) -> Item:
        """All that the catalogue says about the item of a row."""
        behind = row - len(self._released)
        return item_of(self._released.table, row) if behind < 0 else item_of(self._delta.table, behind)

    def page(self, after: str, count: int) -> list[int]:
        """Rows of the first ``count`` living items whose ids come after ``after``, in the order of ids."""
        released = ((self._released.item_ids[row], row) for row in self._released_after(after))
        start = bisect_right(self._sorted_added, after, key=lambda pair: pair[0])
        added = islice(self._sorted_added, start, None)
        return [row for _, row in islice(merge(released, added), count)]

    def _released_after(self, after: str) -> Iterator[int]:
        by_id_I, item_ids = self._released.row_by_id_I, self._released.item_ids
        start = bisect_right(by_id_I, after, key=lambda row: item_ids[row])
        return (row for row in map(int, by_id_I[start:]) if not self._delta.tombstone_I[row])

    @cached_property
    def _sorted_added(self) -> list[tuple[str, int]]:
        return sorted(self._delta.row_of.items())

    def _values(self, column: str, rows: IntArray) -> list[Any]:
        if len(rows) <= FEW_ROWS:
            return [self._value(column, row) for row in rows.tolist()]
        behind = rows - len(self._released)
        is_added = behind >= 0
        if not is_added.any():
            return self._released.table.column(column).take(rows).to_pylist()
        values = np.empty(len(rows), object)
        for table, part, row_C in (
            (self._released.table, ~is_added, rows[~is_added]),
            (self._delta.table, is_added, behind[is_added]),
        ):
            # Item by item: NumPy would make a matrix of lists of equal length.
            for position, value in zip(np.flatnonzero(part), table.column(column).take(row_C).to_pylist(), strict=True):
                values[position] = value
        return values.tolist()

    def _value(self, column: str, row: int) -> Any:
        behind = row - len(self._released)
        if behind < 0:
            return self._released.table.column(column)[row].as_py()
        return self._delta.table.column(column)[behind].as_py()
