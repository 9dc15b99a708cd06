"""Where the allowed rows lie that some queries look for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unbraid_core.types import BoolArray, FloatArray, IntArray
from unbraid_index.lists import NO_ROWS, SAMPLES_PER_LIST, RowLists

__all__ = ["Surroundings"]

SHARE_OF_SAMPLE = np.full(SAMPLES_PER_LIST, 1.0 / SAMPLES_PER_LIST, np.float32)


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
        allowed_L = lists.size_L.astype(np.float32) * (allowed_LS @ SHARE_OF_SAMPLE)
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

    def promising(self, lowest_score_Q: FloatArray, row_count: float, spread_factor: float) -> BoolArray:
        """Lists that are expected to hold more than so many allowed rows that are better for a query: bool [L].

        The inner products within a list are taken as normally distributed; beyond the mean, the share above a score is
        bounded by Chernoff: exp(-z^2 / 2) / 2.

        Args:
            lowest_score_Q: of the worst row that each query has found so far.
            row_count: how many rows.
            spread_factor: how much wider than ``spread_L`` the inner products of a query are spread.
        """
        z_QL = (lowest_score_Q[:, None] - self.score_QL) / (spread_factor * self.lists.spread_L)
        beyond_QL = 0.5 * np.exp(-0.5 * np.square(z_QL))
        share_QL = np.where(z_QL < 0, 1.0 - beyond_QL, beyond_QL)
        most_L: FloatArray = (self.allowed_L * share_QL).max(axis=0, initial=0.0)
        promising_L: BoolArray = most_L > row_count
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
