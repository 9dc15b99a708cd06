"""Which items go together: the neighbours that the ranker and its candidates read."""

from __future__ import annotations

import numpy as np

from unbraid_core.neighbours import Neighbours
from unbraid_core.types import DoubleArray, FloatArray, RowArray
from unbraid_training.baselines.profile import Weights
from unbraid_training.co_occurrence import common_users, ease_weights, nearest, shrunk_cosines
from unbraid_training.data.dataset import Dataset
from unbraid_training.ranker.config import RankerConfig

__all__ = ["fit_neighbours"]

SHRINKAGE = 50.0


def fit_neighbours(train: Dataset, config: RankerConfig) -> Neighbours:
    """The M strongest weights from every item, between items that enough users have in common.

    Those of EASE, which inverts a dense [I, I] matrix; in catalogues too large for that shrunk cosines.
    """
    common_II = common_users(train)
    enough_II = common_II >= config.common_user_count
    if len(train.catalogue) <= config.ease_item_count:
        weight_II = ease_weights(common_II, config.neighbour_regularisation)
        weight_II[~enough_II.toarray()] = 0.0
        row_IM, weight_IM = _strongest(weight_II, config.neighbour_count)
    else:
        similarity_II: Weights = shrunk_cosines(common_II, SHRINKAGE).multiply(enough_II).tocsr()
        row_IM, weight_IM = _padded(nearest(similarity_II, config.neighbour_count))
    return Neighbours(row_IM, weight_IM, config.neighbour_half_life_s)


def _strongest(weight_II: DoubleArray, count: int) -> tuple[RowArray, FloatArray]:
    kept = min(count, len(weight_II))
    row_IM = np.argpartition(-weight_II, kept - 1, axis=1)[:, :kept]
    return row_IM.astype(np.int32), np.take_along_axis(weight_II, row_IM, axis=1).astype(np.float32)


def _padded(nearest_II: Weights) -> tuple[RowArray, FloatArray]:
    """Rows and weights as matrices; an item with fewer neighbours has row 0 with weight 0 behind them."""
    count_I = np.diff(nearest_II.indptr)
    shape = nearest_II.shape[0], max(1, int(count_I.max()))
    row_IM, weight_IM = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    item_N = np.repeat(np.arange(shape[0]), count_I)
    nth_N = np.arange(len(item_N)) - np.repeat(nearest_II.indptr[:-1], count_I)
    row_IM[item_N, nth_N] = nearest_II.indices
    weight_IM[item_N, nth_N] = nearest_II.data
    return row_IM, weight_IM
