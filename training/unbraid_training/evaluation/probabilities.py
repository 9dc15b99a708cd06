"""How good probabilities are: expected calibration error, Brier score, AUC and accuracy over held-out pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unbraid_core.types import BoolArray, DoubleArray

__all__ = ["ProbabilityQuality", "ThresholdPrecision"]

BIN_COUNT = 15
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5)


@dataclass(frozen=True, slots=True)
class ThresholdPrecision:
    """The pairs of at least some probability: how many, the share expected to be taken, and the share that was."""

    threshold: float
    pair_count: int
    expected: float
    found: float


@dataclass(frozen=True, slots=True)
class ProbabilityQuality:
    """Of N pairs of user and item, each with a probability that the user takes the item.

    Attributes:
        pair_count: N.
        taken_share: how many were taken.
        calibration_error: ECE (Naeini et al. 2015): mean distance of the mean probability from the share taken, over
            bins of equally many pairs.
        largest_error: the largest such distance of a bin.
        brier: mean squared distance of the probability from the outcome.
        auc: chance that a taken pair has a larger probability than another one; NaN where all or none were taken.
        accuracy: share of pairs on the right side of one half.
        thresholds: precision above some thresholds, those that any pair reaches.
    """

    pair_count: int
    taken_share: float
    calibration_error: float
    largest_error: float
    brier: float
    auc: float
    accuracy: float
    thresholds: list[ThresholdPrecision]

    @classmethod
    def of(cls, probability_N: DoubleArray, taken_N: BoolArray) -> ProbabilityQuality:
        """Judge probabilities by outcomes; at least one pair."""
        order_N = np.argsort(probability_N, kind="stable")
        bins = [each for each in np.array_split(order_N, BIN_COUNT) if len(each)]
        error_X = np.array([abs(probability_N[each].mean() - taken_N[each].mean()) for each in bins])
        share_X = np.array([len(each) for each in bins]) / len(order_N)
        return cls(
            pair_count=len(order_N),
            taken_share=float(taken_N.mean()),
            calibration_error=float(share_X @ error_X),
            largest_error=float(error_X.max()),
            brier=float(np.mean((probability_N - taken_N) ** 2)),
            auc=_auc(probability_N, taken_N),
            accuracy=float(np.mean((probability_N > 0.5) == taken_N)),
            thresholds=[
                _precision(threshold, probability_N, taken_N)
                for threshold in THRESHOLDS
                if threshold <= probability_N.max()
            ],
        )


def _precision(threshold: float, probability_N: DoubleArray, taken_N: BoolArray) -> ThresholdPrecision:
    above_N = probability_N >= threshold
    return ThresholdPrecision(
        threshold=threshold,
        pair_count=int(above_N.sum()),
        expected=float(probability_N[above_N].mean()),
        found=float(taken_N[above_N].mean()),
    )


def _auc(probability_N: DoubleArray, taken_N: BoolArray) -> float:
    """The Mann-Whitney statistic; equal probabilities share their mean rank."""
    taken_count = int(taken_N.sum())
    other_count = len(taken_N) - taken_count
    if taken_count == 0 or other_count == 0:
        return float("nan")
    _, inverse_N, count_V = np.unique(probability_N, return_inverse=True, return_counts=True)
    mean_rank_V = np.cumsum(count_V) - (count_V - 1) / 2
    rank_sum = float(mean_rank_V[inverse_N][taken_N].sum())
    return (rank_sum - taken_count * (taken_count + 1) / 2) / (taken_count * other_count)
