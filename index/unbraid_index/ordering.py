"""The best of scored rows, equal scores by row.

A score and its row are packed into one integer, the score in the upper half, so that one sort of integers orders both
and breaks ties: a fifth of the time of sorting positions and gathering twice.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from unbraid_core.types import FloatArray, IntArray

__all__ = ["best_of_many", "best_rows"]

ROW_BITS = 32
MAGNITUDE = np.int32(0x7FFFFFFF)
GROUP = 16
"""So many scores are first seen by the largest of them alone."""
LEAST_GROUPED = 6_000
"""Of fewer scores, all are packed."""


def best_rows(row_QN: IntArray, score_QN: FloatArray, count: int) -> tuple[IntArray, FloatArray]:
    """The ``count`` best for each query, best first, or all where there are fewer: rows and scores.

    Args:
        row_QN: below 2^31, -1 where there is none; or [N], the same for all queries.
        score_QN: not NaN; -inf where there is no row.
        count: at least 1.
    """
    # Of the bits of two floats, read as integers, those of the larger are larger, if both are positive; of two negative
    # ones it is the other way round.
    order_QN = (np.float32(0.0) - score_QN).view(np.int32)
    order_QN ^= (order_QN >> 31) & MAGNITUDE
    key_QN = order_QN.astype(np.int64)
    key_QN <<= ROW_BITS
    key_QN |= row_QN.astype(np.uint32)
    if key_QN.shape[1] > count:
        key_QN = np.partition(key_QN, count - 1, axis=1)[:, :count]
    key_QN.sort(axis=1)
    return _unpacked(key_QN)


def best_of_many(row_N: IntArray, score_QN: FloatArray, count: int) -> tuple[IntArray, FloatArray]:
    """As ``best_rows``, for many scores of the same rows: most of them are never packed.

    Among the largest scores of groups, the last of the ``count`` best is reached by at least ``count`` scores, and by
    few more.
    """
    query_count, size = score_QN.shape
    group_count = size // GROUP
    if size < LEAST_GROUPED or group_count < count:
        return best_rows(row_N, score_QN, count)
    largest_QG = score_QN[:, : group_count * GROUP].reshape(query_count, GROUP, group_count).max(axis=1)
    floor_Q = np.partition(largest_QG, group_count - count, axis=1)[:, group_count - count]
    position_P = np.flatnonzero(score_QN >= floor_Q[:, None])
    end_Q = np.searchsorted(position_P, np.arange(1, query_count + 1) * size)
    kept_Q = np.diff(end_Q, prepend=0)
    kept_QM = np.arange(kept_Q.max(initial=0)) < kept_Q[:, None]
    row_QM = np.full(kept_QM.shape, -1)
    score_QM = np.full(kept_QM.shape, -np.inf, np.float32)
    row_QM[kept_QM] = row_N[position_P % size]
    score_QM[kept_QM] = score_QN.ravel()[position_P]
    return best_rows(row_QM, score_QM, count)


def _unpacked(key_QC: npt.NDArray[np.int64]) -> tuple[IntArray, FloatArray]:
    order_QC = (key_QC >> ROW_BITS).astype(np.int32)
    order_QC ^= (order_QC >> 31) & MAGNITUDE
    row_QC: IntArray = key_QC.astype(np.int32).astype(np.int64)
    return row_QC, np.float32(0.0) - order_QC.view(np.float32)
