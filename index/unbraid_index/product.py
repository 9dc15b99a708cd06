"""Exact scores by matrix products: for a few queries faster than FAISS, which compares them with vectors one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import faiss
import numpy as np

from unbraid_core.types import FloatArray, IntArray
from unbraid_index.rescoring import reordered

__all__ = ["FlatProducts", "ListProducts", "Products"]

SCORE_BYTES = 64 * 2**20


class Products(Protocol):
    """Searches the vectors of an index where they lie; they are there as long as the index is."""

    def search(self, query_QD: FloatArray, count: int, effort: int) -> tuple[IntArray, FloatArray]:
        """The rows with the largest inner products and these, best first, -1 and -inf behind the last: [Q, count].

        Args:
            query_QD: finite float32.
            count: from 1 to the number of vectors.
            effort: how many lists to look into, where there are lists.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class FlatProducts:
    """All vectors of a Flat index, 64 MiB of products at a time or those of one query where they are more."""

    vectors_ID: FloatArray

    @classmethod
    def of(cls, index: faiss.Index) -> FlatProducts:
        """Those of an ``IndexFlat``."""
        assert isinstance(index, faiss.IndexFlat)
        size = index.ntotal, index.d
        return cls(faiss.rev_swig_ptr(index.get_xb(), size[0] * size[1]).reshape(size))

    def search(self, query_QD: FloatArray, count: int, _effort: int) -> tuple[IntArray, FloatArray]:
        """See ``Products``."""
        row_QC = np.empty((len(query_QD), count), np.int64)
        score_QC = np.empty((len(query_QD), count), np.float32)
        step = max(1, SCORE_BYTES // (len(self.vectors_ID) * score_QC.itemsize))
        for start in range(0, len(query_QD), step):
            part = slice(start, start + step)
            score_SI = query_QD[part] @ self.vectors_ID.T
            best_SC = np.argpartition(score_SI, -count, axis=1)[:, -count:]
            best_score_SC = np.take_along_axis(score_SI, best_SC, axis=1)
            row_QC[part], score_QC[part] = reordered(best_SC, best_score_SC, np.argsort(-best_score_SC, axis=1))
        return row_QC, score_QC


@dataclass(frozen=True, slots=True, eq=False)
class ListProducts:
    """The vectors and rows of each list of an IVF, and the centroids."""

    centroid_DL: FloatArray
    vectors: Sequence[FloatArray]
    rows: Sequence[IntArray]

    @classmethod
    def of(cls, index: faiss.Index) -> ListProducts:
        """Those of an ``IndexIVFFlat``."""
        assert isinstance(index, faiss.IndexIVFFlat)
        lists = index.invlists
        assert lists is not None
        vectors, rows = [], []
        for number in range(index.nlist):
            size = lists.list_size(number)
            row_N, vectors_ND = np.empty(0, np.int64), np.empty((0, index.d), np.float32)
            if size:
                row_N = faiss.rev_swig_ptr(lists.get_ids(number), size)
                code_N = faiss.rev_swig_ptr(lists.get_codes(number), size * lists.code_size)
                vectors_ND = code_N.view(np.float32).reshape(size, index.d)
            rows.append(row_N)
            vectors.append(vectors_ND)
        return cls(np.ascontiguousarray(index.quantizer.reconstruct_n(0, index.nlist).T), vectors, rows)

    def search(self, query_QD: FloatArray, count: int, effort: int) -> tuple[IntArray, FloatArray]:
        """See ``Products``."""
        row_QC = np.full((len(query_QD), count), -1, np.int64)
        score_QC = np.full((len(query_QD), count), -np.inf, np.float32)
        near_QP = np.argpartition(-(query_QD @ self.centroid_DL), effort - 1, axis=1)[:, :effort]
        for q, near in enumerate(near_QP.tolist()):
            score_N = np.concatenate([self.vectors[number] @ query_QD[q] for number in near])
            row_N = np.concatenate([self.rows[number] for number in near])
            found = min(count, len(row_N))
            best_C = np.argpartition(-score_N, found - 1)[:found] if found else row_N
            best_C = best_C[np.argsort(-score_N[best_C])]
            row_QC[q, :found], score_QC[q, :found] = row_N[best_C], score_N[best_C]
        return row_QC, score_QC
