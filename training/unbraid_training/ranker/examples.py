"""Examples of the ranker: the candidates that the pipeline finds for users at an earlier moment, and what was taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from unbraid_core.pipeline import Described, Pipeline
from unbraid_core.types import BoolArray, DoubleArray, FloatArray, IntArray, Profile, Query
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.metrics import RANK_COUNT

__all__ = ["RankerExamples"]

BATCH_SIZE = 32


@dataclass(frozen=True, slots=True, eq=False)
class RankerExamples:
    """The candidates of Q users, user by user.

    Attributes:
        feature_CF: float32, of ``Pipeline.features``.
        row_C: the candidates.
        source_C: their sources, as bits of ``Source``.
        taken_C: whether the candidate is a target of the user.
        size_Q: how many candidates each user has.
    """

    feature_CF: FloatArray
    row_C: IntArray
    source_C: IntArray
    taken_C: BoolArray
    size_Q: IntArray

    @classmethod
    def of(cls, pipeline: Pipeline, cases: Cases, on_user: Callable[[], None]) -> RankerExamples:
        """Ask the pipeline, which is over the catalogue of the cases, about every user at their moment."""
        found: list[Described] = []
        taken = []
        for start in range(0, len(cases), BATCH_SIZE):
            users = range(start, min(start + BATCH_SIZE, len(cases)))
            queries = [_query(cases, user) for user in users]
            for user, described in zip(users, pipeline.features(queries), strict=True):
                found.append(described)
                taken.append(np.isin(described.row_C, cases.targets[user]))
                on_user()
        return cls(
            feature_CF=np.concatenate([described.feature_CF for described in found]),
            row_C=np.concatenate([described.row_C for described in found]),
            source_C=np.concatenate([described.source_C for described in found]),
            taken_C=np.concatenate(taken),
            size_Q=np.array([len(described.row_C) for described in found]),
        )

    @classmethod
    def concatenated(cls, parts: Sequence[RankerExamples]) -> RankerExamples:
        """The users of all parts, one part after the other."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))

    def first_of_each_user(self, count: int) -> RankerExamples:
        """At most so many candidates of every user."""
        if (self.size_Q <= count).all():
            return self
        position_C = np.arange(len(self.row_C)) - np.repeat(np.cumsum(self.size_Q) - self.size_Q, self.size_Q)
        kept_C = position_C < count
        columns = self.feature_CF[kept_C], self.row_C[kept_C], self.source_C[kept_C], self.taken_C[kept_C]
        return RankerExamples(*columns, np.minimum(self.size_Q, count))

    def recommended(self, score_C: DoubleArray) -> BoolArray:
        """Whether each candidate is among the RANK_COUNT best of its user: bool [C]."""
        user_C = np.repeat(np.arange(len(self.size_Q)), self.size_Q)
        order_C = np.lexsort((-score_C, user_C))
        rank_C = np.empty_like(order_C)
        rank_C[order_C] = np.arange(len(order_C)) - np.repeat(np.cumsum(self.size_Q) - self.size_Q, self.size_Q)
        recommended_C: BoolArray = rank_C < RANK_COUNT
        return recommended_C

    def ranked(self, score_C: DoubleArray) -> IntArray:
        """The best candidates of every user: int64 [Q, RANK_COUNT], -1 after the end of a short list."""
        row_QR = np.full((len(self.size_Q), RANK_COUNT), -1, np.int64)
        stops = np.cumsum(self.size_Q)[:-1]
        for user, (row_C, own_score_C) in enumerate(
            zip(np.split(self.row_C, stops), np.split(score_C, stops), strict=True)
        ):
            best_R = np.argsort(-own_score_C, kind="stable")[:RANK_COUNT]
            row_QR[user, : len(best_R)] = row_C[best_R]
        return row_QR


def _query(cases: Cases, user: int) -> Query:
    return Query(
        history=cases.history(user),
        now_s=float(cases.now_s_H[user]),
        limit=1,
        include_seen=cases.task is Task.ALL,
        profile=Profile.LEARNED,
    )
