"""Exact scores for the rows that an index proposed from rounded vectors."""

from __future__ import annotations

import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.types import FloatArray, IntArray

__all__ = ["reordered", "rescored", "ties_by_row"]


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
    return ties_by_row(*reordered(row_QS, score_QS, np.argsort(-score_QS, axis=1)[:, :count]))


def ties_by_row(row_QC: IntArray, score_QC: FloatArray) -> tuple[IntArray, FloatArray]:
    """Order equal scores by row: FAISS leaves them in an order that depends on its internals."""
    if not (score_QC[:, 1:] == score_QC[:, :-1]).any():
        return row_QC, score_QC
    return reordered(row_QC, score_QC, np.lexsort((row_QC, -score_QC)))


def reordered(row_QS: IntArray, score_QS: FloatArray, order_QC: IntArray) -> tuple[IntArray, FloatArray]:
    """Both in another order, a fifth of the time that ``take_along_axis`` needs for them."""
    position_QC = order_QC + np.arange(0, row_QS.size, row_QS.shape[1])[:, None]
    return row_QS.take(position_QC), score_QS.take(position_QC)


def _gathered(item_vectors_ID: ItemVectors, row_QS: IntArray) -> FloatArray:
    """The vectors of some rows, any vector where the row is -1."""
    if isinstance(item_vectors_ID, np.ndarray):
        # Half the time of indexing, which checks every row before it copies the first.
        return np.take(item_vectors_ID, row_QS, axis=0, mode="clip")
    return item_vectors_ID[row_QS]
