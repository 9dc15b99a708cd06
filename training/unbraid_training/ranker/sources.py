"""What the ranker reads besides the interests, fitted on training events: statistics, neighbours, factors."""

from __future__ import annotations

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.linalg import inv
from scipy.sparse import csr_array, csr_matrix
from threadpoolctl import threadpool_limits

from unbraid_core.factors import Factors
from unbraid_core.item_statistics import POPULARITY_HALF_LIFE_DAYS, ItemStatistics
from unbraid_core.neighbours import Neighbours
from unbraid_core.ranker_inputs import RankerInputs
from unbraid_training.config import DAY_S
from unbraid_training.data.dataset import Dataset
from unbraid_training.item_statistics import log_popularity
from unbraid_training.ranker.config import RankerConfig

__all__ = ["fit_inputs"]

ITERATIONS = 10


def fit_inputs(train: Dataset, config: RankerConfig, seed: int) -> RankerInputs:
    """Fit all of them on the training events, over the catalogue of these."""
    return RankerInputs(
        neighbours=_fit_neighbours(train, config),
        factors=_fit_factors(train, config, seed),
        statistics=_fit_statistics(train),
        depth=config.depth,
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


def _fit_neighbours(train: Dataset, config: RankerConfig) -> Neighbours:
    """The strongest weights of EASE (Steck 2019) from every item, between items that enough users have in common.

    With X the binary user-item matrix and P = (X'X + lambda 1)^-1, the weight from i to j is -P_ij / P_jj. Takes two
    [I, I] matrices and O(I^3).
    """
    seen_UI = _user_items(train)
    seen_UI.data[:] = 1.0
    common_II = (seen_UI.T @ seen_UI).toarray()
    weight_II = common_II + config.neighbour_regularisation * np.eye(len(common_II))
    weight_II = inv(weight_II, assume_a="pos", overwrite_a=True, check_finite=False)
    weight_II /= -weight_II.diagonal()
    weight_II[common_II < config.common_user_count] = 0.0
    np.fill_diagonal(weight_II, 0.0)
    count = min(config.neighbour_count, len(weight_II))
    row_IM = np.argpartition(-weight_II, count - 1, axis=1)[:, :count]
    weight_IM = np.take_along_axis(weight_II, row_IM, axis=1)
    return Neighbours(row_IM.astype(np.int32), weight_IM.astype(np.float32), config.neighbour_half_life_s)


def _fit_factors(train: Dataset, config: RankerConfig, seed: int) -> Factors:
    """Factorise how often users had items, with the library ``implicit``."""
    # Its own threads and those of OpenBLAS would hinder each other; it checks, and warns, when it is made.
    with threadpool_limits(1):
        als = AlternatingLeastSquares(
            factors=config.factor_count,
            regularization=config.factor_regularisation,
            alpha=config.factor_confidence,
            iterations=ITERATIONS,
            num_threads=1,
            random_state=seed,
        )
        als.fit(csr_matrix(_user_items(train)), show_progress=False)
    return Factors(als.item_factors, config.factor_confidence, config.factor_regularisation)


def _user_items(train: Dataset) -> csr_array[np.float32, tuple[int, int]]:
    """How often every user had every item: [U, I]."""
    shape = (len(train.user_ids), len(train.catalogue))
    counts_UI = csr_array((np.ones(len(train), np.float32), (train.user_E, train.row_E)), shape=shape)
    counts_UI.sum_duplicates()
    return counts_UI
