"""The best of scored rows, equal scores by row.

A score and its row are packed into one integer, the score in the upper half, so that one sort of integers orders both
and breaks ties: a fifth of the time of sorting positions and gathering twice.
"""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from unbraid_core.types import FloatArray, IntArray, RowArray

__all__ = ["best_rows"]

LOWER, UPPER = (0, 1) if sys.byteorder == "little" else (1, 0)
"""Where the halves of an integer of 64 bits stand among integers of 32 bits."""
MAGNITUDE = np.int32(0x7FFFFFFF)
BEHIND_ALL = np.iinfo(np.int64).max
GROUP = 16
"""So many scores are first seen by the largest of them alone."""
LEAST_GROUPED = 6_000
"""Of fewer scores, all are packed."""


def best_rows(row_QN: IntArray | RowArray, score_QN: FloatArray, count: int) -> tuple[IntArray, FloatArray]:
    """The ``count`` best for each query, best first, or all where there are fewer: rows and scores.

    Args:
        row_QN: below 2^31, -1 where there is none; or [N], the same for all queries.
        score_QN: not NaN; -inf where there is no row.
        count: at least 1.
    """
    size = score_QN.shape[1]
    if size >= LEAST_GROUPED and size // GROUP >= count:
        key_QN = _high_keys(row_QN, score_QN, count)
    else:
        key_QN = _packed(row_QN, score_QN)
        if size > count:
            key_QN.partition(count - 1, axis=1)
            key_QN = key_QN[:, :count].copy()
    key_QN.sort(axis=1)
    return _unpacked(key_QN[:, :count])


def _high_keys(row_QN: IntArray | RowArray, score_QN: FloatArray, count: int) -> npt.NDArray[np.int64]:
    """The keys of at least the ``count`` best of many scores, and of few more; most are never packed.

    Among the largest scores of groups, the last of the ``count`` best is reached by at least ``count`` scores.
    """
    query_count, size = score_QN.shape
    group_count = size // GROUP
    largest_QG = score_QN[:, : group_count * GROUP].reshape(query_count, GROUP, group_count).max(axis=1)
    largest_QG.partition(group_count - count, axis=1)
    floor_Q = largest_QG[:, group_count - count]
    position_P = (score_QN >= floor_Q[:, None]).ravel().nonzero()[0]
    row_P = row_QN.take(position_P % size if row_QN.ndim == 1 else position_P)
    key_P = _packed(row_P, score_QN.take(position_P))
    ends = position_P.searchsorted([number * size for number in range(query_count + 1)]).tolist()
    key_QM = np.full((query_count, max((end - start for start, end in pairwise(ends)), default=0)), BEHIND_ALL)
    for key_M, (start, end) in zip(key_QM, pairwise(ends), strict=True):
        key_M[: end - start] = key_P[start:end]
    return key_QM


def _packed(row_N: IntArray | RowArray, score_N: FloatArray) -> npt.NDArray[np.int64]:
    """Keys of any shape; the lower the key the better."""
    key_N = np.empty(score_N.shape, np.int64)
    half_N = key_N.view(np.int32)
    # Of the bits of two floats, read as integers, those of the larger are larger, if both are positive; of two negative
    # ones it is the other way round.
    order_N = (np.float32(0.0) - score_N).view(np.int32)
    order_N ^= (order_N >> 31) & MAGNITUDE
    half_N[..., UPPER::2] = order_N
    half_N[..., LOWER::2] = row_N
    return key_N


def _unpacked(key_QC: npt.NDArray[np.int64]) -> tuple[IntArray, FloatArray]:
    half_QC: RowArray = np.ascontiguousarray(key_QC).view(np.int32)
    order_QC = half_QC[:, UPPER::2]
    order_QC = order_QC ^ ((order_QC >> 31) & MAGNITUDE)
    return half_QC[:, LOWER::2].astype(np.int64), np.float32(0.0) - order_QC.view(np.float32)
