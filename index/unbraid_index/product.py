"""Exact search by one matrix product: faster than a Flat index of FAISS, which compares few queries one by one."""

from __future__ import annotations

import faiss
import numpy as np

from unbraid_core.types import FloatArray, IntArray
from unbraid_index.rescoring import reordered

__all__ = ["best_products", "flat_vectors"]

SCORE_BYTES = 64 * 2**20


def flat_vectors(index: faiss.IndexFlat) -> FloatArray:
    """The vectors of a Flat index, float32 [I, D], where they lie; they are there as long as the index is."""
    vectors_ID: FloatArray = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d).reshape(index.ntotal, index.d)
    return vectors_ID


def best_products(vectors_ID: FloatArray, query_QD: FloatArray, count: int) -> tuple[IntArray, FloatArray]:
    """The rows with the largest inner products and these, best first: [Q, count].

    Holds 64 MiB of products at a time, or those of one query where they are more.

    Args:
        vectors_ID: at least ``count``.
        query_QD: finite float32.
        count: at least 1.
    """
    row_QC = np.empty((len(query_QD), count), np.int64)
    score_QC = np.empty((len(query_QD), count), np.float32)
    step = max(1, SCORE_BYTES // (len(vectors_ID) * score_QC.itemsize))
    for start in range(0, len(query_QD), step):
        part = slice(start, start + step)
        row_QC[part], score_QC[part] = _best(query_QD[part] @ vectors_ID.T, count)
    return row_QC, score_QC


def _best(score_QI: FloatArray, count: int) -> tuple[IntArray, FloatArray]:
    row_QC = np.argpartition(score_QI, -count, axis=1)[:, -count:]
    best_QC = np.take_along_axis(score_QI, row_QC, axis=1)
    return reordered(row_QC, best_QC, np.argsort(-best_QC, axis=1))
