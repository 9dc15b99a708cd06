"""The order of events in a data set, found with little memory beside the events themselves.

Sorting 100 million events at once would take several times their own size. They are sorted user by user anyway, so a
block of users at a time is taken out and sorted, and only positions are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from unbraid_core.types import BoolArray, DoubleArray, IntArray
from unbraid_training.data.columns import IndexArray

__all__ = ["EventOrder", "blocks", "order_events", "take"]

N = TypeVar("N", np.int32, np.float64)

# Events that are sorted at once, unless a single user has more: takes about 200 MB.
BLOCK_SIZE = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class EventOrder:
    """Positions in the order of the input.

    Attributes:
        position_E: of the events by user and time, ties in the order of the input, without repeats.
        repeat_count: events with the user, time, item and action of an earlier one.
        first_repeat: where the first of them stands; -1 if there is none.
    """

    position_E: IndexArray | IntArray
    repeat_count: int
    first_repeat: int


def order_events(
    user_N: IndexArray,
    row_N: IndexArray,
    action_N: IndexArray,
    time_s_N: DoubleArray,
    user_count: int,
    block_size: int = BLOCK_SIZE,
) -> EventOrder:
    """Find the order of N events of ``user_count`` users, and which of them repeat an earlier one."""
    position_N: IndexArray | IntArray = np.empty(len(user_N), np.int32)
    if len(user_N) > np.iinfo(np.int32).max:
        position_N = np.empty(len(user_N), np.int64)
    done, repeat_count, first_repeat = 0, 0, -1
    for low, high in _user_ranges(user_N, user_count, block_size):
        position_B = _positions(user_N, low, high)
        order_B = np.lexsort((time_s_N[position_B], user_N[position_B]))
        position_B = position_B[order_B]
        again_B = _repeats(user_N[position_B], row_N[position_B], action_N[position_B], time_s_N[position_B])
        if again_B.any():
            first = int(position_B[again_B].min())
            first_repeat = first if first_repeat < 0 else min(first, first_repeat)
            repeat_count += int(again_B.sum())
            position_B = position_B[~again_B]
        position_N[done : done + len(position_B)] = position_B
        done += len(position_B)
    return EventOrder(position_N[:done], repeat_count, first_repeat)


def blocks(count: int, block_size: int = BLOCK_SIZE) -> Iterator[slice]:
    """Slices that cover ``count`` values."""
    for start in range(0, count, block_size):
        yield slice(start, min(start + block_size, count))


def take(column_N: npt.NDArray[N], position_E: IndexArray | IntArray) -> npt.NDArray[N]:
    """Values at positions; NumPy would first copy all positions to 64 bits."""
    taken_E = np.empty(len(position_E), column_N.dtype)
    for part in blocks(len(position_E)):
        taken_E[part] = column_N[position_E[part]]
    return taken_E


def _user_ranges(user_N: IndexArray, user_count: int, block_size: int) -> Iterator[tuple[int, int]]:
    """Ranges of users with at most ``block_size`` events together, or of one user."""
    count_U = np.zeros(user_count, np.int64)
    for part in blocks(len(user_N)):
        count_U += np.bincount(user_N[part], minlength=user_count)
    end_U = np.cumsum(count_U)
    low = 0
    while low < user_count:
        before = int(end_U[low - 1]) if low else 0
        high = max(low + 1, int(np.searchsorted(end_U, before + block_size, side="right")))
        yield low, high
        low = high


def _positions(user_N: IndexArray, low: int, high: int) -> IntArray:
    """Where the events of a range of users stand."""
    found = [part.start + np.flatnonzero((user_N[part] >= low) & (user_N[part] < high)) for part in blocks(len(user_N))]
    return np.concatenate(found)


def _repeats(user_B: IndexArray, row_B: IndexArray, action_B: IndexArray, time_s_B: DoubleArray) -> BoolArray:
    """Events that repeat an earlier one of the same user and time, which stands before it."""
    tied_B = np.zeros(len(user_B), np.bool_)
    same = (user_B[1:] == user_B[:-1]) & (time_s_B[1:] == time_s_B[:-1])
    tied_B[1:] = same
    tied_B[:-1] |= same
    tied_T = np.flatnonzero(tied_B)
    keys = [column[tied_T] for column in (row_B, action_B, time_s_B, user_B)]
    order_T = np.lexsort(keys)
    again_T = np.ones(len(order_T[1:]), np.bool_)
    for key in keys:
        again_T &= key[order_T[1:]] == key[order_T[:-1]]
    again_B = np.zeros(len(user_B), np.bool_)
    again_B[tied_T[order_T[1:][again_T]]] = True
    return again_B
