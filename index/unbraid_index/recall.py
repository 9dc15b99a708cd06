"""How much of what exact search would bring a user an index finds, and how long it takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from unbraid_core.ports import Searcher
from unbraid_core.types import DoubleArray, FloatArray, IntArray, SearchHits
from unbraid_index.progress import OnProgress
from unbraid_index.queries import RecallQueries

__all__ = ["Measurement", "RecallProbe", "Search", "race"]

SAME_SCORE = 1e-6
"""Unit vectors: inner products that differ by less are equal, the order of float32 additions alone explains it."""
ONE_SIDED_95 = 1.645
"""Standard errors that a mean lies above its lower bound, 95 times of 100."""
USERS_AT_ONCE = 16
FEWEST_USERS, PATIENCE_S = 50, 5.0
"""A search that is slow is known to be slow after a few users; fewer of them make the lower bound lower."""

Search = Callable[[FloatArray, int], SearchHits]
"""Searches for the interests of one user, so many rows deep."""


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """What one searcher reached with the users of one probe.

    Attributes:
        recall_U: merged recall of each user that was searched for.
        p50_ms: median wall time of one call.
    """

    recall_U: DoubleArray
    p50_ms: float

    @property
    def recall(self) -> float:
        """Mean over the users."""
        return float(self.recall_U.mean())

    @property
    def recall_p05(self) -> float:
        """The 5th percentile over the users."""
        return float(np.quantile(self.recall_U, 0.05))

    @property
    def recall_min(self) -> float:
        """The user who fares worst."""
        return float(self.recall_U.min())

    @property
    def lower_bound(self) -> float:
        """The 95% lower confidence bound of the mean."""
        return self.recall - ONE_SIDED_95 * float(self.recall_U.std()) / math.sqrt(len(self.recall_U))


@dataclass(frozen=True, slots=True, eq=False)
class RecallProbe:
    """Users, and what exact search brings each of them: the union of the lists of their interests, cut to quotas.

    A found item is right if it is in that union, or scores as high as the last of the exact list of its interest. So
    items of equal score stand for each other, as they do for a user.

    Attributes:
        vectors_UKD: the interests of each user, at least one user.
        quota_UK: how long the list of each interest is.
        lowest_score_UK: score of the last item of each exact list.
        exact_rows: the union of the exact lists of each user, ascending.
    """

    vectors_UKD: FloatArray
    quota_UK: IntArray
    lowest_score_UK: FloatArray
    exact_rows: Sequence[IntArray]

    @classmethod
    def ask(cls, oracle: Searcher, queries: RecallQueries, on_progress: OnProgress) -> RecallProbe:
        """Let the oracle find the exact lists."""
        vectors_UKD = queries.vectors_UKD
        quota_UK = np.minimum(queries.quota_UK, oracle.size)
        lowest_score_UK = np.empty(quota_UK.shape, np.float32)
        exact_rows = []
        for start in range(0, len(vectors_UKD), USERS_AT_ONCE):
            users = slice(start, start + USERS_AT_ONCE)
            quota_BK = quota_UK[users]
            hits = oracle.search(vectors_UKD[users].reshape(-1, vectors_UKD.shape[2]), int(quota_BK.max()))
            row_BKC, score_BKC = (array.reshape(*quota_BK.shape, -1) for array in (hits.row_QC, hits.score_QC))
            lowest_score_UK[users] = np.take_along_axis(score_BKC, quota_BK[:, :, None] - 1, axis=2)[:, :, 0]
            within_BKC = np.arange(row_BKC.shape[2]) < quota_BK[:, :, None]
            exact_rows += [np.unique(row_KC[kept]) for row_KC, kept in zip(row_BKC, within_BKC, strict=True)]
            on_progress("finding exact neighbours", len(exact_rows), len(vectors_UKD))
        return cls(vectors_UKD, quota_UK, lowest_score_UK, exact_rows)

    @property
    def user_count(self) -> int:
        """Number of users."""
        return len(self.vectors_UKD)

    def split(self) -> tuple[RecallProbe, RecallProbe]:
        """The first half of the users and the rest; a single user is in both."""
        half = max(1, self.user_count // 2)
        return self._part(slice(half)), self._part(slice(min(half, self.user_count - 1), None))

    def _part(self, users: slice) -> RecallProbe:
        return RecallProbe(
            self.vectors_UKD[users], self.quota_UK[users], self.lowest_score_UK[users], self.exact_rows[users]
        )

    def measure(self, search: Search) -> Measurement:
        """Search for the users, timing each call: for 50 at least, and as many more as a few seconds allow."""
        recalls: list[float] = []
        call_s: list[float] = []
        for user in range(self.user_count):
            if user >= FEWEST_USERS and sum(call_s) > PATIENCE_S:
                break
            hits, taken_s = self.timed(search, user)
            recalls.append(self._recall(user, hits))
            call_s.append(taken_s)
        return Measurement(np.array(recalls), 1e3 * float(np.median(call_s)))

    def timed(self, search: Search, user: int) -> tuple[SearchHits, float]:
        """Search for one user; what was found and the seconds that it took."""
        vectors_KD, depth = self.vectors_UKD[user], int(self.quota_UK[user].max())
        started_s = time.perf_counter()
        hits = search(vectors_KD, depth)
        return hits, time.perf_counter() - started_s

    def _recall(self, user: int, hits: SearchHits) -> float:
        within_KC = np.arange(hits.row_QC.shape[1]) < self.quota_UK[user][:, None]
        high_KC = hits.score_QC >= self.lowest_score_UK[user][:, None] - SAME_SCORE
        exact_E = self.exact_rows[user]
        right_KC = within_KC & (hits.row_QC >= 0) & (high_KC | np.isin(hits.row_QC, exact_E))
        return min(1.0, len(np.unique(hits.row_QC[right_KC])) / len(exact_E))


def race(probe: RecallProbe, searches: Sequence[Search], user_count: int, rounds: int) -> list[float]:
    """The median milliseconds of one call of each search, all taking turns, so that a busy machine hits all alike."""
    call_s: list[list[float]] = [[] for _ in searches]
    for _ in range(rounds):
        for user in range(min(user_count, probe.user_count)):
            for search, taken_s in zip(searches, call_s, strict=True):
                taken_s.append(probe.timed(search, user)[1])
    return [1e3 * float(np.median(taken_s)) for taken_s in call_s]
