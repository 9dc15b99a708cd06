"""What the training events say about each item, as the score formula reads it."""

from __future__ import annotations

import numpy as np

from unbraid_core.decay import decayed_counts
from unbraid_core.types import DoubleArray, FloatArray
from unbraid_training.data.dataset import Dataset

__all__ = ["log_popularity", "log_shares"]

# Pseudo-count of an item, as a share of the mean count: keeps the log of an item that nobody touched finite.
SMOOTHING = 0.01


def log_popularity(dataset: Dataset, half_life_s: float) -> FloatArray:
    """Log of each item's smoothed share of all events, decayed towards the newest one: float32 [I].

    Between two rebuilds every count decays by the same factor, so the shares, and this array, do not change with time.
    """
    age_s_E = dataset.time_s_E.max() - dataset.time_s_E
    return log_shares(decayed_counts(dataset.row_E.astype(np.int64), age_s_E, half_life_s, len(dataset.catalogue)))


def log_shares(count_I: DoubleArray) -> FloatArray:
    """Log of each item's smoothed share of all counts: float32 [I]."""
    smoothed_I = count_I + SMOOTHING * count_I.mean()
    log_share_I: FloatArray = np.log(smoothed_I / smoothed_I.sum()).astype(np.float32)
    return log_share_I
