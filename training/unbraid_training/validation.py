"""Judging a model in training by the serving pipeline, and fitting the numbers of the score formula."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from unbraid_core.pipeline import Pipeline
from unbraid_core.types import DoubleArray, FloatArray, IntArray, Scoring
from unbraid_index.exact import ExactSearcher
from unbraid_training.config import DAY_S, TrainConfig
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.holdout import Holdout
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.metrics import user_metrics
from unbraid_training.evaluation.system import rank_with_pipeline
from unbraid_training.item_statistics import log_popularity
from unbraid_training.model import Model
from unbraid_training.torch_encoder import TorchEncoder

__all__ = ["FIT_STEP_COUNT", "Validation", "first_scoring", "model_pipeline"]

USER_COUNT = 1000
POPULARITY_HALF_LIVES_S = tuple(DAY_S * days for days in (2, 7, 30, 180, 3650))
GAMMAS = (0.0, 0.25, 0.5, 1.0, 2.0)
ALL_TIME_S = POPULARITY_HALF_LIVES_S[-1]
BETAS = (0.0, 0.25, 0.5, 2.0)
OWN_HALF_LIVES_S = tuple(DAY_S * days for days in (30, 180))
DELTAS = (0.5, 1.0, 2.0, 4.0, 8.0)
FIT_STEP_COUNT = 3 + len(POPULARITY_HALF_LIVES_S) * (len(GAMMAS) - 1) + len(BETAS) + len(OWN_HALF_LIVES_S) * len(DELTAS)


def first_scoring(config: TrainConfig) -> Scoring:
    """The score that the loss describes, before anything is fitted: live interests and all-time popularity."""
    return Scoring(
        temperature=config.temperature,
        beta=1.0,
        gamma=config.popularity_weight,
        delta=0.0,
        own_half_life_s=OWN_HALF_LIVES_S[0],
        popularity_half_life_s=ALL_TIME_S,
    )


def model_pipeline(model: Model, dataset: Dataset, scoring: Scoring, max_history: int) -> Pipeline:
    """The serving pipeline over a PyTorch model, with exact search."""
    item_vectors_ID: FloatArray = model.item_vectors().detach().numpy()
    log_popularity_I = log_popularity(dataset, scoring.popularity_half_life_s)
    popular_row_I: IntArray = np.lexsort((np.arange(len(log_popularity_I)), -log_popularity_I))
    half_life_s_K: DoubleArray = model.half_life_s().detach().numpy().astype(np.float64)
    return Pipeline(
        encoder=TorchEncoder(model.encoder),
        searcher=ExactSearcher(item_vectors_ID),
        item_vectors_ID=item_vectors_ID,
        log_popularity_I=log_popularity_I,
        popular_row_I=popular_row_I,
        half_life_s_K=half_life_s_K,
        scoring=scoring,
        max_history=max_history,
    )


class Validation:
    """Users of a holdout inside the training events, at most 1000 of them.

    Args:
        holdout: training events of the model that is judged, and what its users did next.
        config: settings of the run.

    Raises:
        InvalidInput: no user has a target.
    """

    def __init__(self, holdout: Holdout, config: TrainConfig) -> None:
        self._train = holdout.train
        self._config = config
        self._new, self._all = (
            Cases.of(holdout, task).sample(USER_COUNT, config.seed) for task in (Task.NEW, Task.ALL)
        )

    def score(self, model: Model, scoring: Scoring) -> dict[str, float]:
        """Mean metrics of task new."""
        return self._metrics(model, scoring, self._new)

    def fit_scoring(self, model: Model, on_step: Callable[[], None]) -> Scoring:
        """Choose the numbers of the score formula by NDCG@50, one after the other.

        First gamma with the half-life of popularity, then beta, both on task new; then delta with the half-life of own
        frequency on task all, where seen items may return.
        """

        def best(first: Scoring, others: Iterable[Scoring], cases: Cases) -> Scoring:
            tried = []
            for scoring in (first, *others):
                tried.append((self._metrics(model, scoring, cases)["ndcg@50"], scoring))
                on_step()
            return max(tried, key=lambda pair: pair[0])[1]

        scoring = replace(first_scoring(self._config), gamma=0.0)
        popularity = (
            replace(scoring, popularity_half_life_s=half_life_s, gamma=gamma)
            for half_life_s in POPULARITY_HALF_LIVES_S
            for gamma in GAMMAS[1:]
        )
        scoring = best(scoring, popularity, self._new)
        scoring = best(scoring, (replace(scoring, beta=beta) for beta in BETAS), self._new)
        frequency = (
            replace(scoring, own_half_life_s=half_life_s, delta=delta)
            for half_life_s in OWN_HALF_LIVES_S
            for delta in DELTAS
        )
        return best(scoring, frequency, self._all)

    def _metrics(self, model: Model, scoring: Scoring, cases: Cases) -> dict[str, float]:
        pipeline = model_pipeline(model, self._train, scoring, self._config.max_history)
        row_HR = rank_with_pipeline(pipeline, cases, lambda _: None)
        metrics = user_metrics(row_HR, cases.targets, len(cases.catalogue))
        return {name: float(value_H.mean()) for name, value_H in metrics.items()}
