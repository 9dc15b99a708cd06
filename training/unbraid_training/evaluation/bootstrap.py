"""Percentile bootstrap over users (Efron 1979): how far a mean would move with other users of the same kind.

The interval of a difference between two systems is the interval of their per-user differences (the paired
bootstrap): users who are easy for both systems cancel out, so small gains show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unbraid_core.types import DoubleArray

__all__ = ["CONFIDENCE", "RESAMPLES", "Interval", "bootstrap_means", "paired_differences"]

CONFIDENCE = 0.95
RESAMPLES = 10_000
DRAWS_AT_ONCE = 2_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over users with the bounds of its confidence interval."""

    mean: float
    low: float
    high: float

    def text(self, decimals: int, sign: str = "-") -> str:
        """Mean and bounds for a table; with the sign ``+`` positive numbers have theirs, too."""
        mean, low, high = (f"{value:{sign}.{decimals}f}" for value in (self.mean, self.low, self.high))
        return f"{mean} [{low}, {high}]"


def bootstrap_means(values: Mapping[str, DoubleArray], seed: int) -> dict[str, Interval]:
    """The mean of each column with its interval at CONFIDENCE; all columns share the same RESAMPLES resamples.

    Args:
        values: named columns, float64 [H] each, one value a user.
        seed: the same seed and H give the same resamples.
    """
    value_HM = np.stack(list(values.values()), axis=1)
    tail = 100 * (1 - CONFIDENCE) / 2
    low_M, high_M = np.percentile(_resampled_means(value_HM, seed), [tail, 100 - tail], axis=0)
    bounds = zip(values, value_HM.mean(axis=0), low_M, high_M, strict=True)
    return {name: Interval(float(mean), float(low), float(high)) for name, mean, low, high in bounds}


def paired_differences(
    values: Mapping[str, DoubleArray], baseline: Mapping[str, DoubleArray], seed: int
) -> dict[str, Interval]:
    """The mean gain of each column over the same column of a baseline, the users being the same in the same order."""
    return bootstrap_means({name: value_H - baseline[name] for name, value_H in values.items()}, seed)


def _resampled_means(value_HM: DoubleArray, seed: int) -> DoubleArray:
    """Column means of every resample, [RESAMPLES, M]: drawn as user counts, a block at a time to bound the memory."""
    user_count = len(value_HM)
    rng = np.random.default_rng(seed)
    block = max(1, DRAWS_AT_ONCE // user_count)
    means = []
    for start in range(0, RESAMPLES, block):
        size = min(block, RESAMPLES - start)
        drawn_SH = rng.integers(user_count, size=(size, user_count)) + user_count * np.arange(size)[:, None]
        count_SH = np.bincount(drawn_SH.ravel(), minlength=size * user_count).reshape(size, user_count)
        means.append(count_SH @ value_HM / user_count)
    return np.concatenate(means)
