"""Evidence: which events stand behind an interest, and how much of its mass each of them gives.

weight_k,i(t) = R[k,i] * 2^(-(t - t_i) / h_k) / m_k(t)

The weights of one interest sum to 1 over its history. Both sides of the fraction count ages from the newest event, so
the weights stay exact long after the mass itself has left the float64 range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unbraid_core.decay import SMALLEST_SHARE
from unbraid_core.types import DoubleArray, IntArray, Interests

__all__ = ["Evidence", "weigh_evidence"]


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The items behind each interest, heaviest first; E is the same for all interests of a history.

    Attributes:
        row_KE: which item.
        time_s_KE: when the newest event on the item happened.
        assignment_KE: share of that newest event that belongs to the interest.
        weight_KE: share of the interest's mass that all events on the item give together.
    """

    row_KE: IntArray
    time_s_KE: DoubleArray
    assignment_KE: DoubleArray
    weight_KE: DoubleArray


def weigh_evidence(interests: Interests, now_s: float, half_life_s_K: DoubleArray, limit: int) -> Evidence:
    """The ``limit`` heaviest items of every interest, fewer where the history holds fewer; equal weights go by row."""
    history = interests.history
    age_s_L = np.maximum(now_s - history.time_s_N, 0.0)
    survival_KL = np.exp2((age_s_L[-1] - age_s_L) / half_life_s_K[:, None])
    weight_KL = survival_KL * np.maximum(interests.assignment_KL, SMALLEST_SHARE)
    weight_KL /= weight_KL.sum(axis=1, keepdims=True)

    by_row_L = history.row_N.argsort(kind="stable")
    newest_U, weight_KU = by_row_L, weight_KL.take(by_row_L, axis=1)
    sorted_row_L = history.row_N[by_row_L]
    is_last_L = sorted_row_L[:-1] != sorted_row_L[1:]
    if np.count_nonzero(is_last_L) < len(is_last_L):
        last_U = np.append(is_last_L, True).nonzero()[0]
        newest_U = by_row_L[last_U]
        weight_KU = np.add.reduceat(weight_KU, np.append(0, last_U[:-1] + 1), axis=1)

    heaviest_KE = (-weight_KU).argsort(axis=1, kind="stable")[:, :limit]
    newest_KE = newest_U[heaviest_KE]
    each_K1 = np.arange(len(weight_KU))[:, None]
    return Evidence(
        row_KE=history.row_N[newest_KE],
        time_s_KE=history.time_s_N[newest_KE],
        assignment_KE=interests.assignment_KL[each_K1, newest_KE].astype(np.float64),
        weight_KE=weight_KU[each_K1, heaviest_KE],
    )
