"""Exact scores by matrix products: for a few queries faster than FAISS, which compares them with vectors one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import faiss
import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.types import FloatArray, IntArray, RowArray
from unbraid_index.ordering import best_rows

__all__ = ["FlatProducts", "ListProducts", "Products"]

SCORE_BYTES = 64 * 2**20
BLOCK = 2_048
"""Rows; with 4 queries of 64 dimensions it takes OpenBLAS for a small product, which it multiplies without a copy."""
MOST_COPIED_BYTES = 32 * 2**20
"""Of vectors that each process has a copy of, laid out for products: as much as 4-bit codes of a million items take."""


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
    """All vectors of a catalogue in blocks, 64 MiB of products at a time or those of one query where they are more.

    Attributes:
        blocks: [D, B] each, in the order of the rows.
        size: how many rows there are.
    """

    blocks: Sequence[FloatArray]
    size: int

    @classmethod
    def of(cls, _index: faiss.Index, item_vectors_ID: ItemVectors) -> FlatProducts:
        """Those of the release: in a mapped index they begin at an odd address, which makes a product ten times slower.

        Compact vectors are widened as a whole. A process has its own copy of a small catalogue, with each dimension
        side by side: some kernels need a quarter of the time then, none that was tried needs more.
        """
        vectors_ID = np.asarray(item_vectors_ID[:])
        blocks: list[FloatArray] = [vectors_ID[start : start + BLOCK].T for start in range(0, len(vectors_ID), BLOCK)]
        if vectors_ID.nbytes <= MOST_COPIED_BYTES:
            blocks = [np.ascontiguousarray(block_DB) for block_DB in blocks]
        return cls(blocks, len(vectors_ID))

    def search(self, query_QD: FloatArray, count: int, _effort: int) -> tuple[IntArray, FloatArray]:
        """See ``Products``."""
        step = max(1, SCORE_BYTES // (self.size * query_QD.itemsize))
        if len(query_QD) <= step:
            return self._best(query_QD, count)
        parts = [self._best(query_QD[start : start + step], count) for start in range(0, len(query_QD), step)]
        rows, scores = zip(*parts, strict=True)
        return np.concatenate(rows), np.concatenate(scores)

    def _best(self, query_QD: FloatArray, count: int) -> tuple[IntArray, FloatArray]:
        score_QI = np.empty((len(query_QD), self.size), np.float32)
        for number, block_DB in enumerate(self.blocks):
            start = number * BLOCK
            np.matmul(query_QD, block_DB, out=score_QI[:, start : start + block_DB.shape[1]])
        return best_rows(np.arange(self.size), score_QI, count)


@dataclass(frozen=True, slots=True, eq=False)
class ListProducts:
    """The vectors and rows of each list of an IVF, the centroids, and the lengths of the lists."""

    centroid_DL: FloatArray
    vectors: Sequence[FloatArray]
    rows: Sequence[RowArray]
    size_L: IntArray

    @classmethod
    def of(cls, index: faiss.Index, _item_vectors_ID: ItemVectors) -> ListProducts:
        """Those of an ``IndexIVFFlat``.

        In a mapped index numbers begin at odd addresses, so NumPy copies a list before each product. Rows are copied
        once, and so are the vectors of a small catalogue.
        """
        assert isinstance(index, faiss.IndexIVFFlat)
        lists = index.invlists
        assert lists is not None
        vectors, rows = list[FloatArray](), list[RowArray]()
        small = index.ntotal * lists.code_size <= MOST_COPIED_BYTES
        for number in range(index.nlist):
            size = lists.list_size(number)
            row_N, vectors_ND = np.empty(0, np.int64), np.empty((0, index.d), np.float32)
            if size:
                row_N = faiss.rev_swig_ptr(lists.get_ids(number), size)
                code_N = faiss.rev_swig_ptr(lists.get_codes(number), size * lists.code_size)
                vectors_ND = code_N.view(np.float32).reshape(size, index.d)
            rows.append(row_N.astype(np.int32))
            vectors.append(vectors_ND.copy() if small else vectors_ND)
        centroid_DL = np.ascontiguousarray(index.quantizer.reconstruct_n(0, index.nlist).T)
        return cls(centroid_DL, vectors, rows, np.array([len(row_N) for row_N in rows]))

    def search(self, query_QD: FloatArray, count: int, effort: int) -> tuple[IntArray, FloatArray]:
        """See ``Products``."""
        effort = min(effort, len(self.rows))
        near_QP = np.argpartition(-(query_QD @ self.centroid_DL), effort - 1, axis=1)[:, :effort]
        longest = int(self.size_L[near_QP].sum(axis=1).max(initial=count))
        row_QN = np.full((len(query_QD), longest), -1, np.int32)
        score_QN = np.full((len(query_QD), longest), -np.inf, np.float32)
        for query_D, near, row_N, score_N in zip(query_QD, near_QP.tolist(), row_QN, score_QN, strict=True):
            start = 0
            for number in near:
                end = start + len(self.rows[number])
                row_N[start:end] = self.rows[number]
                np.dot(self.vectors[number], query_D, out=score_N[start:end])
                start = end
        return best_rows(row_QN, score_QN, count)
