"""Where the allowed rows lie that some queries look for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unbraid_core.types import BoolArray, FloatArray, IntArray
from unbraid_index.lists import NO_ROWS, SAMPLES_PER_LIST, RowLists

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
    def of(cls, lists: RowLists, query_QD: FloatArray, allowed_I: BoolArray) -> Surroundings:
        """What samples of the lists say."""
        allowed_LS = allowed_I.take(lists.sample_row_LS).astype(np.float32)
        # A list without an allowed sample may hold allowed rows all the same: all rows together are one more sample.
        share_L: FloatArray = (allowed_LS @ ONE_EACH + np.float32(allowed_I.mean())) / np.float32(SAMPLES_PER_LIST + 1)
        allowed_L: FloatArray = lists.size_L.astype(np.float32) * share_L
        return cls(lists, allowed_I, allowed_L, query_QD @ lists.centre_LD.T)

    def nearest(self, rows_per_query: int) -> BoolArray:
        """The nearest lists of each query that hold so many allowed rows together: bool [L]."""
        order_QL = np.argsort(-self.score_QL, axis=1)
        own_QL = self.allowed_L[order_QL]
        # The list that fills the measure is among them.
        wanted_QL = np.cumsum(own_QL, axis=1) - own_QL < rows_per_query
        nearest_L = np.zeros(len(self.allowed_L), np.bool_)
        nearest_L[order_QL[wanted_QL]] = True
        return nearest_L

    def promising(
        self, lowest_score_Q: FloatArray, chosen_L: BoolArray, missed_count: float, spread_factor: float
    ) -> BoolArray:
        """Lists without which a query is expected to miss more than so many better allowed rows: bool [L].

        The inner products within a list are taken as normally distributed; beyond the mean, the share above a score is
        bounded by Chernoff: exp(-z^2 / 2) / 2.

        Args:
            lowest_score_Q: of the worst row that each query has found so far.
            chosen_L: lists in which nothing can be missed.
            missed_count: how many rows may be missed.
            spread_factor: how much wider than ``spread_L`` the inner products of a query are spread.
        """
        other_M = np.flatnonzero(~chosen_L)
        score_QM, spread_M = self.score_QL[:, other_M], spread_factor * self.lists.spread_L[other_M]
        z_QM = (lowest_score_Q[:, None] - score_QM) / spread_M
        beyond_QM = 0.5 * np.exp(-0.5 * np.square(z_QM))
        expected_QM = self.allowed_L[other_M] * np.where(z_QM < 0, 1.0 - beyond_QM, beyond_QM)
        order_QM = np.argsort(expected_QM, axis=1)
        missed_QM = np.cumsum(np.take_along_axis(expected_QM, order_QM, axis=1), axis=1)
        promising_L = np.zeros(len(chosen_L), np.bool_)
        promising_L[other_M[order_QM[missed_QM > missed_count]]] = True
        return promising_L

    def listed_count(self, chosen_L: BoolArray) -> int:
        """How many rows some lists hold."""
        return int(self.lists.size_L[chosen_L].sum())

    def allowed_count(self, chosen_L: BoolArray) -> float:
        """About how many of those are allowed."""
        return float(self.allowed_L[chosen_L].sum())

    def rows(self, chosen_L: BoolArray) -> IntArray:
        """The allowed rows of some lists, ascending."""
        row_N = np.concatenate([self.lists.rows[number] for number in np.flatnonzero(chosen_L).tolist()] or [NO_ROWS])
        # Three times as fast as an index expression.
        return np.sort(row_N.compress(self.allowed_I.take(row_N)))
