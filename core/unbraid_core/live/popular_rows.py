"""Rows by popularity where some were added and others are gone."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from unbraid_core.types import BoolArray, FloatArray, IntArray

__all__ = ["PopularRows"]


class PopularRows:
    """The living rows, most popular first: ``popular[:count]`` are the first ones, as of an array of all of them.

    The order of the base is never copied, and nothing is sorted before somebody asks.

    Args:
        base_row_I: all rows of the base, most popular first.
        popularity_of: given rows of the base or added ones.
        tombstone_I: which of them are gone.
    """

    def __init__(
        self, base_row_I: IntArray, popularity_of: Callable[[IntArray], FloatArray], tombstone_I: BoolArray
    ) -> None:
        self._base_row_I = base_row_I
        self._popularity_of = popularity_of
        self._tombstone_I = tombstone_I

    def __getitem__(self, first: slice, /) -> IntArray:
        """The most popular rows; equal ones in the order of rows, those of the base first."""
        count = len(self._tombstone_I) if first.stop is None else first.stop
        row_C = np.concatenate([self._living_of_base(count), self._living_added_N[:count]])
        popularity_C = self._popularity_of(row_C)
        best_C: IntArray = row_C[np.argsort(-popularity_C, kind="stable")[:count]]
        return best_C

    def _living_of_base(self, count: int) -> IntArray:
        """It looks a little farther than needed at once, and twice as far each time that was not far enough."""
        reach = 2 * count
        while True:
            row_C = self._base_row_I[:reach]
            living_C: IntArray = row_C[~self._tombstone_I[row_C]][:count]
            if len(living_C) == count or reach >= len(self._base_row_I):
                return living_C
            reach *= 2

    @cached_property
    def _living_added_N(self) -> IntArray:
        row_N = len(self._base_row_I) + np.flatnonzero(~self._tombstone_I[len(self._base_row_I) :])
        order_N = np.argsort(-self._popularity_of(row_N), kind="stable")
        sorted_N: IntArray = row_N[order_N]
        return sorted_N
