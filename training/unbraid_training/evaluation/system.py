"""The serving pipeline as a system under evaluation: the very function that the server calls."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from unbraid_core.pipeline import Pipeline
from unbraid_core.types import IntArray, Query
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.metrics import RANK_COUNT

__all__ = ["rank_with_pipeline"]

BATCH_SIZE = 32


def rank_with_pipeline(
    pipeline: Pipeline, cases: Cases, on_batch: Callable[[int], None], *, diversity: float = 0.0
) -> IntArray:
    """Ask the pipeline for every user at their moment; seen items may return in task all only.

    Args:
        pipeline: over the same catalogue as the cases, row for row.
        cases: the users.
        on_batch: called after each batch with the number of users it answered.
        diversity: of each query.

    Returns:
        int64 [H, RANK_COUNT], best first, -1 after the end of a short ranking.
    """
    row_HR = np.full((len(cases), RANK_COUNT), -1, np.int64)
    for start in range(0, len(cases), BATCH_SIZE):
        batch = range(start, min(start + BATCH_SIZE, len(cases)))
        queries = [
            Query(
                cases.history(user),
                float(cases.now_s_H[user]),
                RANK_COUNT,
                include_seen=cases.task is Task.ALL,
                diversity=diversity,
            )
            for user in batch
        ]
        for user, ranking in zip(batch, pipeline.recommend(queries), strict=True):
            row_HR[user, : len(ranking.row_R)] = ranking.row_R
        on_batch(len(batch))
    return row_HR
