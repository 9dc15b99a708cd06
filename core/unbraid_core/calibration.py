"""From scores to probabilities.

p = sigmoid(slope * score + intercept), fitted on held-out pairs of user and candidate (Platt 1999): the probability
that the user takes the item in a period as long as the validation window of the training split. So a threshold means
the same in every release of one split.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unbraid_core.types import DoubleArray

__all__ = ["Calibration"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """The two numbers of one ranking profile."""

    slope: float
    intercept: float

    def probability(self, score_R: DoubleArray) -> DoubleArray:
        """Probabilities of scores, each in (0, 1) and in the order of the scores."""
        log_odds_R = self.slope * score_R + self.intercept
        # The logistic function by tanh, which neither overflows nor warns.
        probability_R: DoubleArray = 0.5 + 0.5 * np.tanh(0.5 * log_odds_R)
        return probability_R
