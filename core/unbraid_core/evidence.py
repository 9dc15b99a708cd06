"""Evidence: which events stand behind an interest, and how much of its mass each of them gives.

weight_k,i(t) = R[k,i] * 2^(-(t - t_i) / h_k) / m_k(t)

The weights of one interest sum to 1 over its history. Both sides of the fraction count ages from the newest event, so
the weights stay exact long after the mass itself has left the float64 range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unbraid_core.decay import SMALLEST_SHARE
from unbraid_core.types import DoubleArray, FloatArray, IntArray, Interests

__all__ = ["Evidence", "weigh_all", "weigh_evidence"]


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
    [evidence] = weigh_all([(interests, now_s)], half_life_s_K, limit)
    return evidence


def weigh_all(users: Sequence[tuple[Interests, float]], half_life_s_K: DoubleArray, limit: int) -> list[Evidence]:
    """The same as ``weigh_evidence`` for several users in one step, each at a ``now`` of its own.

    The events of all users lie one behind the other: N. So do their items, U in all, each user's in the order of rows.
    """
    histories = [interests.history for interests, _ in users]
    row_N = np.concatenate([history.row_N for history in histories])
    time_s_N = np.concatenate([history.time_s_N for history in histories])
    assignment_KN = np.concatenate([interests.assignment_KL for interests, _ in users], axis=1)
    count_B = np.array([len(history) for history in histories])
    weight_KN = _weights(time_s_N, assignment_KN, count_B, np.array([now_s for _, now_s in users]), half_life_s_K)

    user_N = np.arange(len(users)).repeat(count_B)
    by_row_N = np.lexsort((row_N, user_N))
    sorted_row_N = row_N[by_row_N]
    is_first_N = np.append(True, (sorted_row_N[1:] != sorted_row_N[:-1]) | (user_N[1:] != user_N[:-1]))
    first_U = is_first_N.nonzero()[0]
    # The order is stable, so the last event on an item is the newest.
    newest_U = by_row_N[np.append(first_U[1:], len(row_N)) - 1]
    weight_KU = np.add.reduceat(weight_KN.take(by_row_N, axis=1), first_U, axis=1)

    item_count_B = np.bincount(user_N[first_U], minlength=len(users))
    heaviest_BKE = _heaviest(weight_KU, item_count_B, limit)
    newest_BKE = newest_U[heaviest_BKE]
    each_K1 = np.arange(len(half_life_s_K))[:, None]
    found = (row_N[newest_BKE], time_s_N[newest_BKE], assignment_KN[each_K1, newest_BKE].astype(np.float64))
    columns = (*found, weight_KU[each_K1, heaviest_BKE])
    return [
        Evidence(*(column_BKE[b, :, :item_count] for column_BKE in columns))
        for b, item_count in enumerate(item_count_B.tolist())
    ]


def _weights(
    time_s_N: DoubleArray,
    assignment_KN: FloatArray,
    count_B: IntArray,
    now_s_B: DoubleArray,
    half_life_s_K: DoubleArray,
) -> DoubleArray:
    """What each event gives to each interest of its user: float64 [K, N]."""
    stop_B = count_B.cumsum()
    age_s_N = np.maximum(now_s_B.repeat(count_B) - time_s_N, 0.0)
    survival_KN = np.exp2((age_s_N[stop_B - 1].repeat(count_B) - age_s_N) / half_life_s_K[:, None])
    weight_KN: DoubleArray = survival_KN * np.maximum(assignment_KN, SMALLEST_SHARE)
    # A sum for each user, because how many numbers are added up decides how they are rounded.
    for stop, count in zip(stop_B.tolist(), count_B.tolist(), strict=True):
        own_KL = weight_KN[:, stop - count : stop]
        own_KL /= own_KL.sum(axis=1, keepdims=True)
    return weight_KN


def _heaviest(weight_KU: DoubleArray, item_count_B: IntArray, limit: int) -> IntArray:
    """Where the heaviest items of each user and interest are: [B, K, E]; for who has fewer, any behind the last."""
    start_B = item_count_B.cumsum() - item_count_B
    user_U = np.arange(len(item_count_B)).repeat(item_count_B)
    lightness_BKM = np.full((len(item_count_B), len(weight_KU), item_count_B.max()), np.inf)
    lightness_BKM[user_U, :, np.arange(len(user_U)) - start_B[user_U]] = -weight_KU.T
    slot_BKE = lightness_BKM.argsort(axis=2, kind="stable")[:, :, :limit]
    heaviest_BKE: IntArray = np.minimum(slot_BKE + start_B[:, None, None], len(user_U) - 1)
    return heaviest_BKE
