"""How much of the exact answer an index finds, and how long it takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unbraid_core.ports import Searcher
from unbraid_core.types import DoubleArray, FloatArray, SearchHits
from unbraid_index.progress import OnProgress

__all__ = ["RECALL_AT", "Measurement", "RecallProbe"]

RECALL_AT = 200
SAME_SCORE = 1e-6
"""Unit vectors: inner products that differ by less are equal, the order of float32 additions alone explains it."""


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """What one searcher reached on the queries of one probe.

    Attributes:
        recall_Q: share of the exact neighbours of each query that were found.
        p50_ms: median wall time of one call.
    """

    recall_Q: DoubleArray
    p50_ms: float

    @property
    def recall(self) -> float:
        """Mean over the queries."""
        return float(self.recall_Q.mean())

    @property
    def recall_p05(self) -> float:
        """The 5th percentile over the queries."""
        return float(np.quantile(self.recall_Q, 0.05))

    @property
    def recall_min(self) -> float:
        """The query that fares worst."""
        return float(self.recall_Q.min())

    @property
    def assured_recall(self) -> float:
        """The mean less three standard errors: other queries of the same kind hardly ever fall below."""
        return self.recall - 3.0 * float(self.recall_Q.std()) / math.sqrt(len(self.recall_Q))


@dataclass(frozen=True, slots=True, eq=False)
class RecallProbe:
    """Queries and the scores of their exact neighbours.

    A found item counts when it scores as high as the last exact neighbour. So items of equal score stand for each
    other, as they do for a user.

    Attributes:
        query_QD: the queries, at least one.
        lowest_score_Q: score of the last exact neighbour of each query.
        recall_at: how many neighbours are looked for.
        queries_per_call: how many queries are searched at once, as a server does for the interests of one user.
    """

    query_QD: FloatArray
    lowest_score_Q: FloatArray
    recall_at: int
    queries_per_call: int

    @classmethod
    def ask(
        cls, oracle: Searcher, query_QD: FloatArray, recall_at: int, queries_per_call: int, on_progress: OnProgress
    ) -> RecallProbe:
        """Let the oracle find the exact neighbours."""
        lowest_score_Q = np.empty(len(query_QD), np.float32)
        for start in range(0, len(query_QD), queries_per_call):
            asked = slice(start, start + queries_per_call)
            lowest_score_Q[asked] = oracle.search(query_QD[asked], recall_at).score_QC[:, -1]
            on_progress("finding exact neighbours", min(asked.stop, len(query_QD)), len(query_QD))
        return cls(query_QD, lowest_score_Q, recall_at, queries_per_call)

    def split(self) -> tuple[RecallProbe, RecallProbe]:
        """The first half of the queries and the rest."""
        half = len(self.query_QD) // 2
        first, rest = (
            RecallProbe(self.query_QD[part], self.lowest_score_Q[part], self.recall_at, self.queries_per_call)
            for part in (slice(half), slice(half, None))
        )
        return first, rest

    def measure(self, search: Callable[[FloatArray, int], SearchHits]) -> Measurement:
        """Search for every query, timing each call."""
        recall_Q = np.empty(len(self.query_QD))
        call_s: list[float] = []
        for start in range(0, len(self.query_QD), self.queries_per_call):
            asked = slice(start, start + self.queries_per_call)
            started_s = time.perf_counter()
            score_QC = search(self.query_QD[asked], self.recall_at).score_QC
            call_s.append(time.perf_counter() - started_s)
            recall_Q[asked] = (score_QC >= self.lowest_score_Q[asked, None] - SAME_SCORE).mean(axis=1)
        return Measurement(recall_Q, 1e3 * float(np.median(call_s)))
