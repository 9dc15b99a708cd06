"""Exact scores by matrix products: for a few queries faster than FAISS, which compares them with vectors one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import faiss
import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.types import FloatArray, IntArray
from unbraid_index.ordering import best_of_many, best_rows

__all__ = ["FlatProducts", "ListProducts", "Products"]

SCORE_BYTES = 64 * 2**20


class Products(Protocol):
    """Searches whole vectors where they lie; those in an index are there as long as it is."""

    def search(self, query_QD: FloatArray, count: int, effort: int) -> tuple[IntArray, FloatArray]:
        """The rows with the largest inner products and these, best first, -1 and -inf behind the last: [Q, count].

        Equal scores are ordered by row.

        Args:
            query_QD: finite float32.
            count: from 1 to the number of vectors.
            effort: how many lists to look into, where there are lists.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class FlatProducts:
    """All vectors of a catalogue, 64 MiB of products at a time or those of one query where they are more."""

    vectors_ID: FloatArray

    @classmethod
    def of(cls, _index: faiss.Index, item_vectors_ID: ItemVectors) -> FlatProducts:
        """Those of the release: in a mapped index they begin at an odd address, which makes a product ten times slower.

        Compact vectors are widened as a whole.
        """
        return cls(np.asarray(item_vectors_ID[:]))

    def search(self, query_QD: FloatArray, count: int, _effort: int) -> tuple[IntArray, FloatArray]:
        """See ``Products``."""
        row_QC = np.empty((len(query_QD), count), np.int64)
        score_QC = np.empty((len(query_QD), count), np.float32)
        step = max(1, SCORE_BYTES // (len(self.vectors_ID) * score_QC.itemsize))
        for start in range(0, len(query_QD), step):
            part = slice(start, start + step)
            score_SI = query_QD[part] @ self.vectors_ID.T
            row_QC[part], score_QC[part] = best_of_many(np.arange(len(self.vectors_ID)), score_SI, count)
        return row_QC, score_QC


@dataclass(frozen=True, slots=True, eq=False)
class ListProducts:
    """The vectors and rows of each list of an IVF, the centroids, and the lengths of the lists."""

    centroid_DL: FloatArray
    vectors: Sequence[FloatArray]
    rows: Sequence[IntArray]
    size_L: IntArray

    @classmethod
    def of(cls, index: faiss.Index, _item_vectors_ID: ItemVectors) -> ListProducts:
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
        centroid_DL = np.ascontiguousarray(index.quantizer.reconstruct_n(0, index.nlist).T)
        return cls(centroid_DL, vectors, rows, np.array([len(row_N) for row_N in rows]))

    def search(self, query_QD: FloatArray, count: int, effort: int) -> tuple[IntArray, FloatArray]:
        """See ``Products``."""
        near_QP = np.argpartition(-(query_QD @ self.centroid_DL), effort - 1, axis=1)[:, :effort]
        longest = int(self.size_L[near_QP].sum(axis=1).max(initial=count))
        row_QN = np.full((len(query_QD), longest), -1)
        score_QN = np.full((len(query_QD), longest), -np.inf, np.float32)
        for query_D, near, row_N, score_N in zip(query_QD, near_QP.tolist(), row_QN, score_QN, strict=True):
            start = 0
            for number in near:
                end = start + len(self.rows[number])
                row_N[start:end] = self.rows[number]
                np.dot(self.vectors[number], query_D, out=score_N[start:end])
                start = end
        return best_rows(row_QN, score_QN, count)
