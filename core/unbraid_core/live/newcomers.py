"""What is expected of items that nobody has touched yet: to become what the items nearest to them are on average.

If they began as the least popular of all instead, nobody would be shown any of them: docs/items.md has the figures.
"""

from __future__ import annotations

import numpy as np

from unbraid_core.live.stacked_rows import RowSource
from unbraid_core.ports import Searcher
from unbraid_core.types import FloatArray, IntArray

__all__ = ["NEIGHBOUR_COUNT", "expected_values", "nearest_rows"]

NEIGHBOUR_COUNT = 10


def nearest_rows(searcher: Searcher, vectors_ND: FloatArray) -> IntArray:
    """Rows of the NEIGHBOUR_COUNT items nearest to each vector, fewer where there are fewer: [N, M]."""
    count = min(NEIGHBOUR_COUNT, searcher.size)
    if len(vectors_ND) == 0:
        return np.empty((0, count), np.int64)
    return searcher.search(vectors_ND, count).row_QC


def expected_values(value_I: RowSource, near_NM: IntArray) -> FloatArray:
    """For each new item the mean of the values of its neighbours: [N] or [N, S]."""
    expected_N: FloatArray = np.asarray(value_I[near_NM]).mean(axis=1)
    return expected_N
