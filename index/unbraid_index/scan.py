"""Exact search among some rows: gather their vectors and compare with every one of them."""

from __future__ import annotations

import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.types import FloatArray, IntArray

__all__ = ["best_positions", "scan"]

GATHERED_AT_ONCE = 8_192
"""Rows; of 64 dimensions they take 2 MiB, so that they are still in the cache when they are multiplied."""


def scan(
    item_vectors_ID: ItemVectors, row_A: IntArray, query_QD: FloatArray, count: int
) -> tuple[IntArray, FloatArray]:
    """The best of the given rows for each query: rows and inner products [Q, min(count, A)], equal scores by row.

    Args:
        item_vectors_ID: of the catalogue.
        row_A: distinct rows, ascending.
        query_QD: finite float32.
        count: at least 1.
    """
    score_QA = np.empty((len(query_QD), len(row_A)), np.float32)
    for start in range(0, len(row_A), GATHERED_AT_ONCE):
        part = slice(start, start + GATHERED_AT_ONCE)
        np.matmul(query_QD, item_vectors_ID[row_A[part]].T, out=score_QA[:, part])
    reach = min(count, len(row_A))
    position_QC = np.empty((len(query_QD), reach), np.int64)
    for q, score_A in enumerate(score_QA):
        position_QC[q] = best_positions(score_A, reach)
    return row_A[position_QC], np.take_along_axis(score_QA, position_QC, axis=1)


def best_positions(score_A: FloatArray, count: int) -> IntArray:
    """Where the ``count`` largest scores stand, best first; among equal scores the smaller position wins."""
    if count == 0:
        return np.empty(0, np.int64)
    lowest_kept = np.partition(score_A, -count)[-count]
    position_C = np.flatnonzero(score_A >= lowest_kept)
    order_C = np.argsort(-score_A[position_C], kind="stable")
    best_C: IntArray = position_C[order_C[:count]]
    return best_C
