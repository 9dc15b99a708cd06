"""How sure a coverage is: the jackknife over users.

Coverage is no mean over users but the size of a union, and the bootstrap fails on it: a resample has only 63% of the
users, so it covers less, and the interval of its percentiles lies below the truth. The jackknife leaves out one user at
a time, which takes away the items that nobody else is recommended. Its variance is too large rather than too small
(Efron and Stein 1981), and it pairs: the difference between two systems on the same users is jackknifed as one number.

Shapes: H users, I items of the catalogue.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from unbraid_core.types import DoubleArray, IntArray
from unbraid_training.evaluation.bootstrap import CONFIDENCE, Interval
from unbraid_training.evaluation.metrics import COVERAGE_CUTOFF, coverage

__all__ = ["coverage_difference", "coverage_interval"]


def coverage_interval(runs: Sequence[IntArray], item_count: int) -> Interval:
    """The mean coverage@50 of some runs of a system, and the interval of other users of the same kind.

    Args:
        runs: rankings [H, R] of the same users, -1 after the end of a short one.
        item_count: I, larger than every row.
    """
    found = _interval(_mean_coverage(runs, item_count), _mean_loss(runs, item_count))
    return Interval(found.mean, max(found.low, 0.0), min(found.high, 1.0))


def coverage_difference(runs: Sequence[IntArray], baseline: Sequence[IntArray], item_count: int) -> Interval:
    """How much higher the mean coverage@50 of some runs is than that of a baseline on the same users, in pairs."""
    return _interval(
        _mean_coverage(runs, item_count) - _mean_coverage(baseline, item_count),
        _mean_loss(runs, item_count) - _mean_loss(baseline, item_count),
    )


def _mean_coverage(runs: Sequence[IntArray], item_count: int) -> float:
    return float(np.mean([coverage(row_HR, item_count) for row_HR in runs]))


def _mean_loss(runs: Sequence[IntArray], item_count: int) -> DoubleArray:
    """By how much the coverage falls without each user: float64 [H]."""
    loss_H: DoubleArray = np.mean([_only_count(row_HR, item_count) / item_count for row_HR in runs], axis=0)
    return loss_H


def _only_count(row_HR: IntArray, item_count: int) -> IntArray:
    """How many items each user alone is recommended."""
    top_HR = row_HR[:, :COVERAGE_CUTOFF]
    times_I = np.bincount(top_HR[top_HR >= 0], minlength=item_count)
    only_H: IntArray = ((top_HR >= 0) & (times_I[top_HR] == 1)).sum(axis=1)
    return only_H


def _interval(value: float, loss_H: DoubleArray) -> Interval:
    user_count = len(loss_H)
    error = float(np.sqrt((user_count - 1) * loss_H.var()))
    margin = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * error
    return Interval(value, value - margin, value + margin)
