"""Exact scores for the rows that an index proposed from rounded vectors."""

from __future__ import annotations

import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.types import FloatArray, IntArray
from unbraid_index.ordering import best_rows

__all__ = ["rescored"]


def rescored(
    item_vectors_ID: ItemVectors, row_QS: IntArray, query_QD: FloatArray, count: int
) -> tuple[IntArray, FloatArray]:
    """The best ``count`` of the proposed rows by their inner products, -1 and -inf behind the last.

    Args:
        item_vectors_ID: of the catalogue.
        row_QS: proposals, at least ``count`` for each query; -1 where there were no more.
        query_QD: finite float32.
        count: how many to keep.
    """
    score_QS = np.matmul(_gathered(item_vectors_ID, row_QS), query_QD[:, :, None])[:, :, 0]
    if (row_QS[:, -1] < 0).any():
        score_QS[row_QS < 0] = -np.inf
    return best_rows(row_QS, score_QS, count)


def _gathered(item_vectors_ID: ItemVectors, row_QS: IntArray) -> FloatArray:
    """The vectors of some rows, any vector where the row is -1."""
    if isinstance(item_vectors_ID, np.ndarray):
        # Half the time of indexing, which checks every row before it copies the first.
        return np.take(item_vectors_ID, row_QS, axis=0, mode="clip")
    return item_vectors_ID[row_QS]
