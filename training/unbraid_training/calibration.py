"""Fitting probabilities to scores, and how well they hold."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_expit

from unbraid_core.calibration import Calibration
from unbraid_core.types import BoolArray, DoubleArray

__all__ = ["fit_calibration"]


def fit_calibration(score_N: DoubleArray, taken_N: BoolArray) -> Calibration:
    """The slope and intercept that make the outcomes most likely (Platt 1999), with his smoothed targets.

    Args:
        score_N: scores of pairs.
        taken_N: what came of them.
    """
    taken_count = int(taken_N.sum())
    target_N = np.where(taken_N, (taken_count + 1) / (taken_count + 2), 1 / (len(taken_N) - taken_count + 2))
    centre, spread = float(score_N.mean()), float(score_N.std()) or 1.0
    standard_N = (score_N - centre) / spread

    def loss_and_gradient(parameters: DoubleArray) -> tuple[float, DoubleArray]:
        log_odds_N = parameters[0] * standard_N + parameters[1]
        log_p_N, log_q_N = log_expit(log_odds_N), log_expit(-log_odds_N)
        loss = -np.mean(target_N * log_p_N + (1 - target_N) * log_q_N)
        error_N = np.exp(log_p_N) - target_N
        return float(loss), np.array([np.mean(error_N * standard_N), np.mean(error_N)])

    slope, intercept = minimize(loss_and_gradient, np.array([1.0, 0.0]), jac=True, method="BFGS").x
    return Calibration(slope=float(slope / spread), intercept=float(intercept - slope * centre / spread))
