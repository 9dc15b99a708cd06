"""Judging a model in training by the serving pipeline, and fitting the numbers of the score formula."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from unbraid_core.calibration import Calibration
from unbraid_core.pipeline import Pipeline
from unbraid_core.types import DoubleArray, FloatArray, IntArray, Profile, Scoring
from unbraid_index.exact import ExactSearcher
from unbraid_training.calibration import fit_calibration
from unbraid_training.config import TrainConfig
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.holdout import Holdout
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.metrics import user_metrics
from unbraid_training.evaluation.system import ask_pipeline, rank_with_pipeline, recommended_pairs
from unbraid_training.item_statistics import log_popularity
from unbraid_training.memo import MemoEncoder, MemoSearcher
from unbraid_training.model import Model
from unbraid_training.score_fit import FIRST_OWN_HALF_LIFE_S, fit
from unbraid_training.torch_encoder import TorchEncoder

__all__ = ["Validation", "first_scoring", "model_pipeline"]

USER_COUNT = 1000


def first_scoring(config: TrainConfig) -> Scoring:
    """About the score that the loss describes, before anything is fitted: live interests, and popularity of late."""
    heaviest = max(config.popularity, key=lambda term: term.weight)
    return Scoring(
        temperature=config.temperature,
        beta=1.0,
        gamma=sum(term.weight for term in config.popularity),
        delta=0.0,
        own_half_life_s=FIRST_OWN_HALF_LIFE_S,
        popularity_half_life_s=heaviest.half_life_s,
        mixture=True,
    )


def model_pipeline(model: Model, dataset: Dataset, scoring: Scoring, max_history: int) -> Pipeline:
    """The serving pipeline over a PyTorch model, with exact search."""
    item_vectors_ID: FloatArray = model.item_vectors().detach().cpu().numpy()
    log_popularity_I = log_popularity(dataset, scoring.popularity_half_life_s)
    popular_row_I: IntArray = np.lexsort((np.arange(len(log_popularity_I)), -log_popularity_I))
    half_life_s_K: DoubleArray = model.half_life_s().detach().cpu().numpy().astype(np.float64)
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
        self._cases = {task: Cases.of(holdout, task).sample(USER_COUNT, config.seed) for task in Task}

    def score(self, model: Model, scoring: Scoring) -> dict[str, float]:
        """Mean metrics of task new."""
        return self._metrics(model_pipeline(model, self._train, scoring, self._config.max_history), Task.NEW)

    def fit_scoring(self, model: Model, on_step: Callable[[], None]) -> Scoring:
        """Choose the numbers of the score formula by NDCG@50; nobody is encoded or searched for twice."""
        encoder = MemoEncoder(TorchEncoder(model.encoder))
        searcher = MemoSearcher(ExactSearcher(model.item_vectors().detach().cpu().numpy()))

        def judge(scoring: Scoring, task: Task) -> float:
            pipeline = model_pipeline(model, self._train, scoring, self._config.max_history)
            ndcg = self._metrics(replace(pipeline, encoder=encoder, searcher=searcher), task)["ndcg@50"]
            on_step()
            return ndcg

        return fit(first_scoring(self._config), judge)

    def fit_calibration(self, model: Model, scoring: Scoring) -> Calibration:
        """Fit probabilities to the scores of the formula, over what it recommends in both tasks."""
        pipeline = model_pipeline(model, self._train, scoring, self._config.max_history)
        pairs = [
            recommended_pairs(ask_pipeline(pipeline, cases, Profile.FORMULA, lambda _: None), cases)
            for cases in self._cases.values()
        ]
        return fit_calibration(
            np.concatenate([pair.score_N for pair in pairs]), np.concatenate([pair.taken_N for pair in pairs])
        )

    def _metrics(self, pipeline: Pipeline, task: Task) -> dict[str, float]:
        cases = self._cases[task]
        row_HR = rank_with_pipeline(pipeline, cases, lambda _: None)
        metrics = user_metrics(row_HR, cases.targets, len(cases.catalogue))
        return {name: float(value_H.mean()) for name, value_H in metrics.items()}
