"""What the ranker reads besides the interests, fitted on training events: statistics, neighbours, factors."""

from __future__ import annotations

import numpy as np

from unbraid_core.factors import Factors
from unbraid_core.item_statistics import POPULARITY_HALF_LIFE_DAYS, ItemStatistics
from unbraid_core.ranker_inputs import RankerInputs
from unbraid_training.als import fit_als
from unbraid_training.config import DAY_S
from unbraid_training.data.dataset import Dataset
from unbraid_training.item_statistics import log_popularity
from unbraid_training.ranker.config import RankerConfig
from unbraid_training.ranker.neighbours import fit_neighbours

__all__ = ["fit_inputs"]

ITERATIONS = 10


def fit_inputs(train: Dataset, config: RankerConfig, seed: int) -> RankerInputs:
    """Fit all of them on the training events, over the catalogue of these."""
    return RankerInputs(
        neighbours=fit_neighbours(train, config),
        factors=_fit_factors(train, config, seed),
        statistics=_fit_statistics(train),
        depth=config.depth,
        product=config.head == "interactions",
    )


def _fit_statistics(train: Dataset) -> ItemStatistics:
    """Statistics of every item; each has at least one event."""
    item_count = len(train.catalogue)
    newest_s = float(train.time_s_E.max())
    age_days_E = (newest_s - train.time_s_E) / DAY_S
    first_seen_days_I, last_seen_days_I = np.zeros(item_count), np.full(item_count, np.inf)
    np.maximum.at(first_seen_days_I, train.row_E, age_days_E)
    np.minimum.at(last_seen_days_I, train.row_E, age_days_E)
    pair_P, count_P = np.unique(train.pair_E, return_counts=True)
    row_P = pair_P % item_count
    user_count_I = np.bincount(row_P, minlength=item_count)
    repeat_rate_I = np.bincount(row_P, count_P > 1, item_count) / user_count_I
    popularity = [log_popularity(train, days * DAY_S) for days in POPULARITY_HALF_LIFE_DAYS]
    others = [first_seen_days_I, last_seen_days_I, repeat_rate_I, np.log1p(user_count_I)]
    value_IS = np.column_stack([np.column_stack(popularity), np.column_stack(others)])
    return ItemStatistics(value_IS.astype(np.float32), newest_s)


def _fit_factors(train: Dataset, config: RankerConfig, seed: int) -> Factors:
    als = fit_als(
        train,
        factor_count=config.factor_count,
        regularisation=config.factor_regularisation,
        confidence=config.factor_confidence,
        iterations=ITERATIONS,
        seed=seed,
    )
    return Factors(als.item_factors, config.factor_confidence, config.factor_regularisation)
