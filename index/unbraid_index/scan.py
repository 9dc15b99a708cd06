"""Exact search among some rows: gather their vectors and compare with every one of them."""

from __future__ import annotations

import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.types import BoolArray, FloatArray, IntArray
from unbraid_index.ordering import best_rows

__all__ = ["GATHERED_AT_ONCE", "allowed_rows", "gathered", "inner_products", "scan"]

SCORE_BYTES = 64 * 2**20
GATHERED_AT_ONCE = 2_048
"""Rows; of 64 dimensions they take 512 KiB, so that they are still in the cache when they are multiplied."""
SPARSE_SHARE, LEAST_PADDED_SHARE = 0.1, 1 / 32
FEW_QUERIES = 8


def allowed_rows(allowed_I: BoolArray, allowed_count: int) -> IntArray:
    """The ``allowed_count`` rows that are allowed, ascending.

    Where at most a tenth of the flags are set, NumPy looks for one after the other, which takes longer, for more than a
    few, than going through all of them as it does otherwise. So it is given more set ones.
    """
    size = len(allowed_I)
    if not LEAST_PADDED_SHARE < allowed_count / size <= SPARSE_SHARE:
        return np.flatnonzero(allowed_I)
    missing = int((SPARSE_SHARE * size - allowed_count) / (1.0 - SPARSE_SHARE)) + 2
    return np.flatnonzero(np.concatenate([allowed_I, np.ones(missing, np.bool_)]))[:allowed_count]


def scan(
    item_vectors_ID: ItemVectors, row_A: IntArray, query_QD: FloatArray, count: int
) -> tuple[IntArray, FloatArray]:
    """The best of the given rows for each query: rows and inner products [Q, min(count, A)], equal scores by row.

    It holds at most 64 MiB of scores at a time, or the scores of one query where those are more.

    Args:
        item_vectors_ID: of the catalogue.
        row_A: distinct rows, ascending.
        query_QD: finite float32.
        count: at least 1.
    """
    reach = min(count, len(row_A))
    if reach == 0:
        return np.empty((len(query_QD), 0), np.int64), np.empty((len(query_QD), 0), np.float32)
    row_QC = np.empty((len(query_QD), reach), np.int64)
    score_QC = np.empty((len(query_QD), reach), np.float32)
    step = max(1, SCORE_BYTES // (len(row_A) * score_QC.itemsize))
    for start in range(0, len(query_QD), step):
        part = slice(start, start + step)
        row_QC[part], score_QC[part] = best_rows(row_A, inner_products(item_vectors_ID, row_A, query_QD[part]), reach)
    return row_QC, score_QC


def inner_products(item_vectors_ID: ItemVectors, row_A: IntArray, query_QD: FloatArray) -> FloatArray:
    """Of each query with the vectors of some distinct ascending rows: float32 [Q, A].

    A few queries are multiplied one by one: what was gathered is in the cache, and how quick a product of two small
    matrices is differs from kernel to kernel.
    """
    score_QA = np.empty((len(query_QD), len(row_A)), np.float32)
    room_GD = np.empty((GATHERED_AT_ONCE, item_vectors_ID.shape[1]), np.float32)
    for start in range(0, len(row_A), GATHERED_AT_ONCE):
        row_G = row_A[start : start + GATHERED_AT_ONCE]
        vectors_GD = gathered(item_vectors_ID, row_G, room_GD[: len(row_G)])
        score_QG = score_QA[:, start : start + len(row_G)]
        if len(query_QD) > FEW_QUERIES:
            np.matmul(query_QD, vectors_GD.T, out=score_QG)
        else:
            for query_D, score_G in zip(query_QD, score_QG, strict=True):
                np.dot(vectors_GD, query_D, out=score_G)
    return score_QA


def gathered(item_vectors_ID: ItemVectors, row_G: IntArray, room_GD: FloatArray) -> FloatArray:
    """The vectors of distinct ascending rows: where they lie if that is side by side, else gathered into the room."""
    if not isinstance(item_vectors_ID, np.ndarray):
        room_GD[:] = item_vectors_ID[row_G]
        return room_GD
    first, last = int(row_G[0]), int(row_G[-1])
    if last - first + 1 == len(row_G):
        return item_vectors_ID[first : last + 1]
    # Three quarters of the time of an index expression; the mode spares take a copy, all rows are valid.
    np.take(item_vectors_ID, row_G, axis=0, out=room_GD, mode="clip")
    return room_GD
