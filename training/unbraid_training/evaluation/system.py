"""The serving pipeline as a system under evaluation: the very function that the server calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from unbraid_core.pipeline import Pipeline
from unbraid_core.types import BoolArray, DoubleArray, IntArray, Profile, Query, Ranking
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.metrics import RANK_COUNT

__all__ = ["Pairs", "ask_pipeline", "rank_with_pipeline", "recommended_pairs", "recommended_rows"]

BATCH_SIZE = 32


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Recommended items with their users: scores, probabilities where they are known, and whether they were taken."""

    score_N: DoubleArray
    probability_N: DoubleArray | None
    taken_N: BoolArray


def ask_pipeline(
    pipeline: Pipeline,
    cases: Cases,
    profile: Profile,
    on_batch: Callable[[int], None],
    diversity: float = 0.0,
    balance: float = 0.0,
) -> list[Ranking]:
    """Ask for RANK_COUNT items for every user at their moment; seen items may return in task all only.

    Args:
        pipeline: over the same catalogue as the cases, row for row.
        cases: the users.
        profile: how to rank.
        on_batch: called after each batch with the number of users it answered.
        diversity: of each query.
        balance: of each query.
    """
    rankings: list[Ranking] = []
    for start in range(0, len(cases), BATCH_SIZE):
        batch = range(start, min(start + BATCH_SIZE, len(cases)))
        queries = [
            Query(
                history=cases.history(user),
                now_s=float(cases.now_s_H[user]),
                limit=RANK_COUNT,
                include_seen=cases.task is Task.ALL,
                profile=profile,
                diversity=diversity,
                balance=balance,
            )
            for user in batch
        ]
        rankings += pipeline.recommend(queries)
        on_batch(len(batch))
    return rankings


def rank_with_pipeline(
    pipeline: Pipeline,
    cases: Cases,
    on_batch: Callable[[int], None],
    *,
    profile: Profile = Profile.FORMULA,
    diversity: float = 0.0,
    balance: float = 0.0,
) -> IntArray:
    """The rows of ``ask_pipeline``: int64 [H, RANK_COUNT], best first, -1 after the end of a short ranking."""
    return recommended_rows(ask_pipeline(pipeline, cases, profile, on_batch, diversity, balance))


def recommended_rows(rankings: Sequence[Ranking]) -> IntArray:
    """The rows of every ranking: int64 [H, RANK_COUNT], best first, -1 after the end of a short one."""
    row_HR = np.full((len(rankings), RANK_COUNT), -1, np.int64)
    for user, ranking in enumerate(rankings):
        row_HR[user, : len(ranking.row_R)] = ranking.row_R
    return row_HR


def recommended_pairs(rankings: Sequence[Ranking], cases: Cases) -> Pairs:
    """Everything that was recommended to anybody, and what came of it."""
    probabilities = [ranking.probability_R for ranking in rankings if ranking.probability_R is not None]
    return Pairs(
        score_N=np.concatenate([ranking.score_R for ranking in rankings]),
        probability_N=np.concatenate(probabilities) if len(probabilities) == len(rankings) else None,
        taken_N=np.concatenate(
            [np.isin(ranking.row_R, target_T) for ranking, target_T in zip(rankings, cases.targets, strict=True)]
        ),
    )
