"""Fitting probabilities to scores."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_expit

from unbraid_core.calibration import Calibration
from unbraid_core.types import BoolArray, DoubleArray

__all__ = ["fit_calibration"]

# Where the hinge may be, as shares of the pairs with a smaller score.
HINGE_SHARES = np.arange(1, 10) / 10


def fit_calibration(score_N: DoubleArray, taken_N: BoolArray) -> Calibration:
    """The calibration that makes the outcomes most likely, with the smoothed targets of Platt 1999.

    It never falls where scores rise. It has a bend only if that makes the outcomes more likely by more than the
    criterion of Schwarz (1978) asks for two more numbers: ln N nats.

    Args:
        score_N: scores of pairs.
        taken_N: what came of them.
    """
    taken_count = int(taken_N.sum())
    target_N = np.where(taken_N, (taken_count + 1) / (taken_count + 2), 1 / (len(taken_N) - taken_count + 2))
    straight_loss, straight = _straight(score_N, target_N)
    bent = [_bent(score_N, target_N, float(hinge)) for hinge in np.unique(np.quantile(score_N, HINGE_SHARES))]
    bent_loss, best = min(bent, key=lambda fitted: fitted[0])
    return best if straight_loss - bent_loss > np.log(len(score_N)) / len(score_N) else straight


def _straight(score_N: DoubleArray, target_N: DoubleArray) -> tuple[float, Calibration]:
    """The mean loss in nats, and the calibration without a bend."""
    centre = float(score_N.mean())
    loss, (slope, constant) = _rising_log_odds((score_N - centre)[None, :], target_N)
    return loss, Calibration(slope=slope, intercept=constant - slope * centre)


def _bent(score_N: DoubleArray, target_N: DoubleArray, hinge: float) -> tuple[float, Calibration]:
    """The same with one slope below the hinge and another one above it."""
    sides_PN = np.stack([np.minimum(score_N - hinge, 0.0), np.maximum(score_N - hinge, 0.0)])
    loss, (below, above, constant) = _rising_log_odds(sides_PN, target_N)
    return loss, Calibration(slope=below, intercept=constant - below * hinge, bend=above - below, hinge=hinge)


def _rising_log_odds(part_PN: DoubleArray, target_N: DoubleArray) -> tuple[float, list[float]]:
    """Logistic regression with weights of at least 0: the mean loss in nats, and the weights, the constant last."""
    spread_P = part_PN.std(axis=1)
    spread_P[spread_P == 0.0] = 1.0
    input_XN = np.vstack([part_PN / spread_P[:, None], np.ones_like(target_N)])

    def loss_and_gradient(weight_X: DoubleArray) -> tuple[float, DoubleArray]:
        log_odds_N = weight_X @ input_XN
        log_p_N, log_q_N = log_expit(log_odds_N), log_expit(-log_odds_N)
        loss = -np.mean(target_N * log_p_N + (1 - target_N) * log_q_N)
        return float(loss), input_XN @ (np.exp(log_p_N) - target_N) / len(target_N)

    start_X = np.append(np.ones(len(part_PN)), 0.0)
    bounds = [(0.0, None)] * len(part_PN) + [(None, None)]
    found = minimize(loss_and_gradient, start_X, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12})
    return float(found.fun), (found.x / np.append(spread_P, 1.0)).tolist()
