"""The best rows by score, ties broken by one fixed random order."""

from __future__ import annotations

import numpy as np

from unbraid_core.types import DoubleArray, IntArray

__all__ = ["best_rows"]


def best_rows(score_BI: DoubleArray, tie_I: IntArray, count: int) -> IntArray:
    """The rows with the highest scores: int64 [B, count], best first, -1 after the end.

    Args:
        score_BI: scores; items with -inf are never ranked.
        tie_I: a permutation: of two items with equal scores, the one with the smaller number comes first.
        count: length of the rankings.
    """
    last = max(0, score_BI.shape[1] - count)
    threshold_B = np.partition(score_BI, last, axis=1)[:, last]
    row_BR = np.full((len(score_BI), count), -1, np.int64)
    for row_R, score_I, threshold in zip(row_BR, score_BI, threshold_B, strict=True):
        reach_C = np.flatnonzero((score_I >= threshold) & (score_I > -np.inf))
        best_C = reach_C[np.lexsort((tie_I[reach_C], -score_I[reach_C]))][:count]
        row_R[: len(best_C)] = best_C
    return row_BR
