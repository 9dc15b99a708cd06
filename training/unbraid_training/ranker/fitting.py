"""Fitting the ranker to the examples of all origins, and its probabilities to an origin that it has not seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from unbraid_core.calibration import Calibration
from unbraid_training.calibration import fit_calibration
from unbraid_training.data.dataset import Dataset
from unbraid_training.evaluation.cases import Task
from unbraid_training.evaluation.metrics import user_metrics
from unbraid_training.ranker.config import RankerConfig
from unbraid_training.ranker.examples import RankerExamples
from unbraid_training.ranker.heads import Head, fit_head
from unbraid_training.ranker.origin import Origin
from unbraid_training.ranker.sources import fit_inputs
from unbraid_training.ranker.trained import TrainedRanker

__all__ = ["fit_ranker"]

# The origin whose window is that of validation, and as long as that of the split.
MEASURED = 0


def fit_ranker(
    origins: Sequence[Origin],
    examples: Sequence[Mapping[Task, RankerExamples]],
    data: Dataset,
    config: RankerConfig,
    seed: int,
) -> TrainedRanker:
    """Fit the ranker to all examples, and the inputs that it is served with to all training events.

    Probabilities and validation metrics are those of a ranker that has not seen the origin that they are measured at:
    the first, since other windows may be shorter, and people take less in a shorter time.

    Args:
        origins: of ``find_origins``; at least two.
        examples: of every origin.
        data: all training events.
        config: settings.
        seed: of factors and ranker.
    """
    unseen = examples[MEASURED]
    others = [parts for position, parts in enumerate(examples) if position != MEASURED]
    blind = fit_head([part for parts in others for part in parts.values()], config, seed)
    ranker = fit_head([part for parts in examples for part in parts.values()], config, seed)
    return TrainedRanker(
        head=ranker,
        inputs=fit_inputs(data, config, seed),
        common_user_count=config.common_user_count,
        calibration=_calibrate(blind, unseen.values()),
        validation=_validate(blind, origins[MEASURED], unseen),
    )


def _calibrate(ranker: Head, parts: Iterable[RankerExamples]) -> Calibration:
    """Probabilities of what the ranker recommends."""
    scores, taken = [], []
    for part in parts:
        score_C = ranker.score(part.feature_CF)
        recommended_C = part.recommended(score_C)
        scores.append(score_C[recommended_C])
        taken.append(part.taken_C[recommended_C])
    return fit_calibration(np.concatenate(scores), np.concatenate(taken))


def _validate(ranker: Head, origin: Origin, examples: Mapping[Task, RankerExamples]) -> dict[str, float]:
    """Mean metrics of both tasks, named as in ``new ndcg@50``."""
    means: dict[str, float] = {}
    for task, part in examples.items():
        cases = origin.cases[task]
        metrics = user_metrics(part.ranked(ranker.score(part.feature_CF)), cases.targets, len(cases.catalogue))
        means |= {f"{task} {name}": float(value_H.mean()) for name, value_H in metrics.items()}
    return means
