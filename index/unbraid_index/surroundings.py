"""Where the allowed rows lie that some queries look for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.types import BoolArray, FloatArray, IntArray
from unbraid_index.lists import NO_ROWS, SAMPLES_PER_LIST, RowLists
from unbraid_index.scan import inner_products

__all__ = ["Surroundings"]

ONE_EACH = np.ones(SAMPLES_PER_LIST, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What the queries of one call see of the lists of an index.

    Attributes:
        lists: of the index.
        allowed_I: which rows may come back.
        allowed_L: about how many rows of each list that are.
        score_QL: about the mean of the inner products of a query with the vectors of a list.
    """

    lists: RowLists
    allowed_I: BoolArray
    allowed_L: FloatArray
    score_QL: FloatArray

    @classmethod
    def of(cls, lists: RowLists, query_QD: FloatArray, allowed_I: BoolArray, share: float) -> Surroundings:
        """What samples of the lists say; ``share`` of all rows are allowed."""
        allowed_LS = allowed_I.take(lists.sample_row_LS).astype(np.float32)
        # A list without an allowed sample may hold allowed rows all the same: all rows together are one more sample.
        share_L: FloatArray = (allowed_LS @ ONE_EACH + np.float32(share)) / np.float32(SAMPLES_PER_LIST + 1)
        allowed_L: FloatArray = lists.size_L.astype(np.float32) * share_L
        return cls(lists, allowed_I, allowed_L, query_QD @ lists.centre_LD.T)

    def nearest(self, rows_per_query: int) -> BoolArray:
        """The nearest lists of each query that hold so many allowed rows together: bool [Q, L]."""
        order_QL = np.argsort(-self.score_QL, axis=1)
        own_QL = self.allowed_L[order_QL]
        # The list that fills the measure is among them.
        return _unordered(np.cumsum(own_QL, axis=1) - own_QL < rows_per_query, order_QL)

    def promising(
        self, lowest_score_Q: FloatArray, chosen_QL: BoolArray, missed_count: float, spread_factor: float
    ) -> BoolArray:
        """Lists without which a query is expected to miss more than so many better allowed rows: bool [Q, L].

        The inner products within a list are taken as normally distributed; beyond the mean, the share above a score is
        bounded by Chernoff: exp(-z^2 / 2) / 2.

        Args:
            lowest_score_Q: of the worst row that each query has found so far.
            chosen_QL: lists in which nothing can be missed.
            missed_count: how many rows may be missed.
            spread_factor: how much wider than ``spread_L`` the inner products of a query are spread.
        """
        z_QL = (lowest_score_Q[:, None] - self.score_QL) / (np.float32(spread_factor) * self.lists.spread_L)
        beyond_QL = 0.5 * np.exp(-0.5 * np.square(z_QL))
        expected_QL = self.allowed_L * np.where(z_QL < 0, 1.0 - beyond_QL, beyond_QL)
        expected_QL[chosen_QL] = 0.0
        if (expected_QL.sum(axis=1) <= missed_count).all():
            return np.zeros(chosen_QL.shape, np.bool_)
        ascending_QL = np.sort(expected_QL, axis=1)
        # Behind the last list that may be left out comes the first that may not; infinity where all may.
        left_out_Q = (np.cumsum(ascending_QL, axis=1) <= missed_count).sum(axis=1, keepdims=True)
        bounded_QL = np.pad(ascending_QL, ((0, 0), (0, 1)), constant_values=np.inf)
        return (expected_QL >= np.take_along_axis(bounded_QL, left_out_Q, axis=1)) & ~chosen_QL

    def listed_count(self, chosen_QL: BoolArray) -> int:
        """How many rows some lists hold, for each query that looks into them."""
        return int((chosen_QL @ self.lists.size_L).sum())

    def compared(
        self, item_vectors_ID: ItemVectors, query_QD: FloatArray, chosen_QL: BoolArray
    ) -> tuple[IntArray, FloatArray]:
        """The allowed rows of the lists of each query, and their inner products; -1 and -inf behind the last."""
        rows = [self._rows(chosen_L) for chosen_L in chosen_QL]
        most = max((len(row_A) for row_A in rows), default=0)
        row_QM = np.full((len(rows), most), -1)
        score_QM = np.full((len(rows), most), -np.inf, np.float32)
        for q, row_A in enumerate(rows):
            row_QM[q, : len(row_A)] = row_A
            score_QM[q, : len(row_A)] = inner_products(item_vectors_ID, row_A, query_QD[q : q + 1])[0]
        return row_QM, score_QM

    def _rows(self, chosen_L: BoolArray) -> IntArray:
        """The allowed rows of some lists, ascending."""
        row_N = np.concatenate([self.lists.rows[number] for number in np.flatnonzero(chosen_L).tolist()] or [NO_ROWS])
        # Three times as fast as an index expression.
        return np.sort(row_N.compress(self.allowed_I.take(row_N)))


def _unordered(flag_QL: BoolArray, order_QL: IntArray) -> BoolArray:
    """Flags that were found in some order, in the order of the lists."""
    unordered_QL = np.empty(flag_QL.shape, np.bool_)
    unordered_QL[np.arange(len(flag_QL))[:, None], order_QL] = flag_QL
    return unordered_QL
