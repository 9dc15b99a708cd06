"""Exponential decay in closed form: mass, shares, decayed counts.

mass:       m_k(t) = sum_i R[k,i] * 2^(-(t - t_i) / h_k)
recursion:  m_k(t + d) = m_k(t) * 2^(-d / h_k), that is u_t = u_(t-1) * exp(-lambda d) with lambda = ln 2 / h

Everything is computed in log space: with a one-day half-life a mass leaves the float64 range within three years.
"""

from __future__ import annotations

import numpy as np

from unbraid_core.types import DoubleArray, FloatArray, IntArray

__all__ = ["decayed_counts", "log_contributions", "log_mass", "log_share", "log_survival"]

LN2 = float(np.log(2.0))

# Training takes the same log in float32, where far smaller numbers are not normal any more.
SMALLEST_SHARE = 1e-30


def log_survival(age_s_N: DoubleArray, half_life_s: float | DoubleArray) -> DoubleArray:
    """Natural log of 2^(-age/half_life); an age below zero (a clock ahead of ours) counts as zero."""
    survival: DoubleArray = -LN2 * np.maximum(age_s_N, 0.0) / half_life_s
    return survival


def log_contributions(assignment_KL: FloatArray, age_s_L: DoubleArray, half_life_s_K: DoubleArray) -> DoubleArray:
    """Natural log of R[k,i] * 2^(-age_i/h_k), what each event gives to each interest: float64 [K, L].

    Args:
        assignment_KL: shares of each event, non-negative; a share below 1e-30 counts as 1e-30, so the log is finite.
        age_s_L: seconds from each event to now; at least one event.
        half_life_s_K: half-life of each interest, positive seconds.
    """
    log_R_KL = np.log(np.maximum(assignment_KL.astype(np.float64), SMALLEST_SHARE))
    return log_R_KL + log_survival(age_s_L[None, :], half_life_s_K[:, None])


def log_mass(assignment_KL: FloatArray, age_s_L: DoubleArray, half_life_s_K: DoubleArray) -> DoubleArray:
    """Natural log of every interest's mass, the sum of its contributions: float64 [K]."""
    summand_KL = log_contributions(assignment_KL, age_s_L, half_life_s_K)
    peak_K = summand_KL.max(axis=1)
    mass_K: DoubleArray = np.log(np.exp(summand_KL - peak_K[:, None]).sum(axis=1)) + peak_K
    return mass_K


def log_share(log_mass_K: DoubleArray) -> DoubleArray:
    """Log pi_k = log(m_k / sum_j m_j)."""
    shifted_K = log_mass_K - log_mass_K.max()
    log_pi_K: DoubleArray = shifted_K - np.log(np.exp(shifted_K).sum())
    return log_pi_K


def decayed_counts(row_N: IntArray, age_s_N: DoubleArray, half_life_s: float, size: int) -> DoubleArray:
    """Decayed event count of every row: float64 [size], each event weighs 2^(-age/half_life)."""
    weight_N = np.exp(log_survival(age_s_N, half_life_s))
    return np.bincount(row_N, weights=weight_N, minlength=size).astype(np.float64, copy=False)
