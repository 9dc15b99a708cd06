"""One attribute of all items, arranged so that a condition on it is answered without looking at every value."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from unbraid_core.filter import Condition, Match, RangeCondition
from unbraid_core.ranked_text import distinct_pairs, ranked
from unbraid_core.types import BoolArray, DoubleArray, IntArray, RowArray

__all__ = ["AttributeColumn", "RangeColumn", "TextColumn"]

DENSE_SHARE = 1 / 32
"""What more of the items have takes less memory as bits than as rows of 4 bytes."""
SORTED_SHARE = 1 / 16
"""Up to this share of the items, taking rows out of the order is quicker than comparing all values."""
NO_ROWS: RowArray = np.empty(0, np.int32)


class AttributeColumn(Protocol):
    """What a filter asks an attribute."""

    @property
    def size_bytes(self) -> int:
        """How much memory it takes."""
        ...

    def most_matching(self, condition: Condition) -> int:
        """An upper bound of how many items meet a condition, from counts alone."""
        ...

    def matching(self, condition: Condition) -> BoolArray:
        """Which items meet a condition: bool [I]."""
        ...


class TextColumn:
    """An attribute with any number of strings for each item, or a flag.

    A value that many items have is kept as packed bits, any other as the rows that have it. Either takes at most
    4 bytes for each value of each item; beside it stand the distinct values, with 12 bytes for each.

    Args:
        row_N: the item of each value; the values of an item may repeat.
        value_N: strings, none of them null.
        item_count: I.
    """

    def __init__(self, row_N: IntArray, value_N: pa.Array[Any], item_count: int) -> None:
        value_V, rank_N = ranked(value_N)
        rank_N, row_N = distinct_pairs(rank_N, row_N, item_count)
        self._item_count = item_count
        self._value_V = value_V
        self._count_V = np.bincount(rank_N, minlength=len(value_V)).astype(np.int32)
        dense_V = self._count_V > item_count * DENSE_SHARE
        offset_V1 = np.concatenate([[0], np.cumsum(self._count_V)])
        self._bits = {
            int(v): np.packbits(self._flags(row_N[offset_V1[v] : offset_V1[v + 1]])) for v in np.flatnonzero(dense_V)
        }
        self._row_N = row_N[~dense_V[rank_N]].astype(np.int32)
        self._offset_V1 = np.concatenate([[0], np.cumsum(np.where(dense_V, 0, self._count_V))])

    @classmethod
    def of(cls, column: pa.Array[Any]) -> TextColumn:
        """The column of a catalogue: strings, lists of strings, or booleans as ``true`` and ``false``."""
        row_N, value_N = np.arange(len(column)), column
        if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            row_N, value_N = pc.list_parent_indices(column).to_numpy(), pc.list_flatten(column)
        known_N = value_N.is_valid().to_numpy(zero_copy_only=False)
        return cls(row_N[known_N].astype(np.int64), value_N.drop_null().cast(pa.string()), len(column))

    @property
    def size_bytes(self) -> int:
        """See the protocol."""
        arrays = [self._count_V, self._row_N, self._offset_V1, *self._bits.values()]
        return int(self._value_V.nbytes + sum(array.nbytes for array in arrays))

    def most_matching(self, condition: Condition) -> int:
        """See the protocol."""
        assert not isinstance(condition, RangeCondition)
        counts = [0 if code is None else int(self._count_V[code]) for code in map(self._code, condition.values)]
        match condition.match:
            case Match.ANY:
                return min(sum(counts), self._item_count)
            case Match.ALL:
                return min(counts)
            case Match.NONE:
                return self._item_count - max(counts)

    def matching(self, condition: Condition) -> BoolArray:
        """See the protocol."""
        assert not isinstance(condition, RangeCondition)
        first, *others = condition.values
        found_I = self._having(first)
        for value in others:
            if condition.match is Match.ALL:
                found_I &= self._having(value)
            else:
                found_I |= self._having(value)
        return ~found_I if condition.match is Match.NONE else found_I

    def _having(self, value: str) -> BoolArray:
        code = self._code(value)
        if code is None:
            return self._flags(NO_ROWS)
        if code in self._bits:
            return np.unpackbits(self._bits[code], count=self._item_count).view(np.bool_)
        return self._flags(self._row_N[self._offset_V1[code] : self._offset_V1[code + 1]])

    def _code(self, value: str) -> int | None:
        """The position of a value, None where no item has it; code points and UTF-8 bytes have the same order."""
        count = len(self._value_V)
        code = bisect_left(range(count), value, key=lambda position: self._value_V[position].as_py())
        return code if code < count and self._value_V[code].as_py() == value else None

    def _flags(self, row_V: IntArray | RowArray) -> BoolArray:
        flag_I = np.zeros(self._item_count, np.bool_)
        flag_I[row_V] = True
        return flag_I


class RangeColumn:
    """An attribute with at most one number, or time in epoch seconds, for each item: 12 bytes an item.

    Args:
        value_I: not a number where an item has none.
    """

    def __init__(self, value_I: DoubleArray) -> None:
        self._value_I = value_I
        # What is not a number stands last, behind infinity.
        self._order_I = np.argsort(value_I, kind="stable").astype(np.int32)

    @classmethod
    def of(cls, column: pa.Array[Any]) -> RangeColumn:
        """The column of a catalogue: numbers, dates or timestamps; a timestamp without a time zone is in UTC."""
        if not pa.types.is_temporal(column.type):
            return cls(_numbers(column))
        zone = column.type.tz if pa.types.is_timestamp(column.type) else None
        microseconds = column.cast(pa.timestamp("us", zone), safe=False).cast(pa.int64())
        return cls(_numbers(microseconds) / 1e6)

    @property
    def size_bytes(self) -> int:
        """See the protocol."""
        return self._value_I.nbytes + self._order_I.nbytes

    def most_matching(self, condition: Condition) -> int:
        """See the protocol; here the bound is exact."""
        assert isinstance(condition, RangeCondition)
        start, stop = self._span(*condition.closed)
        return stop - start

    def matching(self, condition: Condition) -> BoolArray:
        """See the protocol."""
        assert isinstance(condition, RangeCondition)
        least, most = condition.closed
        start, stop = self._span(least, most)
        if stop - start > len(self._value_I) * SORTED_SHARE:
            return (self._value_I >= least) & (self._value_I <= most)
        found_I = np.zeros(len(self._value_I), np.bool_)
        found_I[self._order_I[start:stop]] = True
        return found_I

    def _span(self, least: float, most: float) -> tuple[int, int]:
        """Where the matching items stand in the order."""
        start = np.searchsorted(self._value_I, least, side="left", sorter=self._order_I)
        stop = np.searchsorted(self._value_I, most, side="right", sorter=self._order_I)
        return int(start), int(stop)


def _numbers(column: pa.Array[Any]) -> DoubleArray:
    value_I: npt.NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return value_I
