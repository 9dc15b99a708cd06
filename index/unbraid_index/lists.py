"""The inverted lists of an IVF as a map of the vector space: which rows lie near a query, and how many are allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import faiss
import numpy as np

from unbraid_core.types import BoolArray, DoubleArray, FloatArray, IntArray

__all__ = ["Neighbourhood", "RowLists"]

SAMPLES_PER_LIST = 16
SHARE_OF_SAMPLE = np.full(SAMPLES_PER_LIST, 1.0 / SAMPLES_PER_LIST, np.float32)
NO_ROWS = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Neighbourhood:
    """Lists around some queries.

    Attributes:
        list_U: which lists, ascending.
        listed_count: how many rows they hold.
        allowed_count: about how many of those are allowed.
    """

    list_U: IntArray
    listed_count: int
    allowed_count: float


@dataclass(frozen=True, slots=True, eq=False)
class RowLists:
    """The rows of every list, as they lie in the mapped index, and what it takes to choose among the lists.

    Attributes:
        index: keeps the rows mapped.
        rows: of each list, in no order.
        size_L: number of rows of each list.
        sample_row_LS: up to 16 rows of each list, repeated where it has fewer; row 0 where it has none.
        centroid_LD: of each list.
    """

    index: faiss.IndexIVF
    rows: Sequence[IntArray]
    size_L: IntArray
    sample_row_LS: IntArray
    centroid_LD: FloatArray

    @classmethod
    def of(cls, index: faiss.Index) -> RowLists | None:
        """The lists of an IVF, or of one below a refinement; None where an index has none, or just one."""
        if isinstance(index, faiss.IndexRefine):
            return cls.of(faiss.downcast_index(index.base_index))
        if not isinstance(index, faiss.IndexIVF) or index.nlist == 1:
            return None
        inverted = index.invlists
        assert inverted is not None
        sizes = [inverted.list_size(number) for number in range(index.nlist)]
        rows = [
            faiss.rev_swig_ptr(inverted.get_ids(number), size) if size else NO_ROWS for number, size in enumerate(sizes)
        ]
        sample_row_LS = np.zeros((index.nlist, SAMPLES_PER_LIST), np.int64)
        for number, row_N in enumerate(rows):
            if len(row_N):
                sample_row_LS[number] = row_N[np.linspace(0, len(row_N) - 1, SAMPLES_PER_LIST).astype(np.int64)]
        return cls(index, rows, np.array(sizes), sample_row_LS, index.quantizer.reconstruct_n(0, index.nlist))

    def around(self, query_QD: FloatArray, allowed_I: BoolArray, rows_per_query: int) -> Neighbourhood:
        """The nearest lists of each query, as many as hold ``rows_per_query`` allowed rows by what samples say."""
        allowed_L = self._allowed_counts(allowed_I)
        order_QL = np.argsort(-(query_QD @ self.centroid_LD.T), axis=1)
        reached_QL = np.cumsum(allowed_L[order_QL], axis=1)
        # The list that fills the measure is among the chosen ones.
        chosen_QL = reached_QL - allowed_L[order_QL] < rows_per_query
        chosen_L = np.zeros(len(self.rows), np.bool_)
        chosen_L[order_QL[chosen_QL]] = True
        list_U = np.flatnonzero(chosen_L)
        return Neighbourhood(list_U, int(self.size_L[list_U].sum()), float(allowed_L[list_U].sum()))

    def allowed_rows(self, list_U: IntArray, allowed_I: BoolArray) -> IntArray:
        """The allowed rows of some lists, ascending."""
        row_N = np.concatenate([self.rows[number] for number in list_U.tolist()] or [NO_ROWS])
        # Three times as fast as an index expression.
        return np.sort(row_N.compress(allowed_I.take(row_N)))

    def _allowed_counts(self, allowed_I: BoolArray) -> DoubleArray:
        allowed_LS = allowed_I.take(self.sample_row_LS).astype(np.float32)
        counts_L: DoubleArray = self.size_L * (allowed_LS @ SHARE_OF_SAMPLE)
        return counts_L
