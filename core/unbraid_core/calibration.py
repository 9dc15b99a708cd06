"""From scores to probabilities.

p = sigmoid(slope * score + intercept + bend * max(0, score - hinge)), fitted on held-out pairs of user and candidate:
the probability that the user takes the item in a period as long as the validation window of the training split. So a
threshold means the same in every release of one split.

Without a bend this is Platt's (1999). One is there where the score tells apart two kinds of items, such as those that
the user had and new ones, and says more about one kind than about the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unbraid_core.types import DoubleArray

__all__ = ["Calibration"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """The numbers of one ranking profile."""

    slope: float
    intercept: float
    bend: float = 0.0
    hinge: float = 0.0

    def probability(self, score_R: DoubleArray) -> DoubleArray:
        """Probabilities of scores, each in (0, 1) and in the order of the scores."""
        log_odds_R = self.slope * score_R + self.intercept + self.bend * np.maximum(0.0, score_R - self.hinge)
        # The logistic function by tanh, which neither overflows nor warns.
        probability_R: DoubleArray = 0.5 + 0.5 * np.tanh(0.5 * log_odds_R)
        return probability_R
