"""The features of a candidate, computed by one function for training and for serving.

Per candidate: how each source scores it (as it is, as a standard score among the candidates, as a log rank), how
popular it is and was, how old it is, and what the user did with it. Per query: how active the user is. All of it comes
from the history, the arrays of the release and the clock.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unbraid_core.decay import log_survival
from unbraid_core.item_statistics import POPULARITY_HALF_LIFE_DAYS, STATISTIC_NAMES, ItemStatistics
from unbraid_core.types import DoubleArray, FloatArray, History, IntArray, Interests

__all__ = ["FEATURE_NAMES", "SourceScores", "candidate_features"]

DAY_S = 86_400.0
OWN_HALF_LIFE_DAYS = (7, 30, 180)
NEVER = -1.0
SHORTEST_INTERVAL_DAYS = 0.5
SMALLEST_SPREAD = 1e-9
RECENT = POPULARITY_HALF_LIFE_DAYS.index(2)

# Short minus long: what is on the rise.
TREND_DAYS = ((1, 7), (2, 30), (7, 180), (30, 3650))
SHORT_T, LONG_T = ([POPULARITY_HALF_LIFE_DAYS.index(days[end]) for days in TREND_DAYS] for end in (0, 1))

SOURCE_NAMES = ("interest", "neighbour", "factor", "blend")
OWN_NAMES = (
    "own_count",
    *(f"own_count_{days}d" for days in OWN_HALF_LIFE_DAYS),
    "own_recency_days",
    "own_interval_days",
    "own_recency_over_interval",
)
USER_NAMES = ("user_events", "user_items", "user_span_days", "user_recency_days", "user_distinct_share")

FEATURE_NAMES = (
    "affinity",
    "log_share",
    "affinity_lead",
    *(f"{source}_{form}" for source in SOURCE_NAMES for form in ("score", "standard", "log_rank")),
    *STATISTIC_NAMES,
    *(f"trend_{short}d_{long}d" for short, long in TREND_DAYS),
    *OWN_NAMES,
    *USER_NAMES,
)

# Ages are stored as of the newest training event, and grow with the clock.
AGING_S = np.array([name.endswith("_seen_days") for name in STATISTIC_NAMES])


@dataclass(frozen=True, slots=True, eq=False)
class SourceScores:
    """What each source says about the C candidates of one query.

    Attributes:
        affinity_CK: inner product of every candidate and interest over the temperature.
        neighbour_C: of ``Neighbours.score``.
        factor_C: of ``Factors.score``.
    """

    affinity_CK: DoubleArray
    neighbour_C: DoubleArray
    factor_C: DoubleArray


def candidate_features(
    history: History,
    now_s: float,
    interests: Interests,
    row_C: IntArray,
    sources: SourceScores,
    statistics: ItemStatistics,
) -> FloatArray:
    """The features of all candidates of a query: float32 [C, F], columns as in FEATURE_NAMES.

    Args:
        history: all known events; at least one.
        now_s: the moment of the query.
        interests: of the history at that moment.
        row_C: the candidates, ascending, at least one; standard scores and ranks are among these.
        sources: scores of the candidates.
        statistics: of all items.
    """
    statistic_CS = statistics.value_IS[row_C].astype(np.float64)
    statistic_CS += AGING_S * (max(0.0, now_s - statistics.reference_time_s) / DAY_S)
    feature_FC = np.empty((len(FEATURE_NAMES), len(row_C)), np.float32)
    blocks = (
        _source_block(interests, sources, statistic_CS[:, RECENT]),
        statistic_CS.T,
        (statistic_CS[:, SHORT_T] - statistic_CS[:, LONG_T]).T,
        _own_block(history, now_s, row_C),
        _user_block(history, now_s),
    )
    start = 0
    for block in blocks:
        feature_FC[start : start + len(block)] = block
        start += len(block)
    return np.ascontiguousarray(feature_FC.T)


def _source_block(interests: Interests, sources: SourceScores, log_popularity_C: DoubleArray) -> DoubleArray:
    """How the sources score the candidates, and how they rank them among each other."""
    # With the few interests as rows, NumPy reduces over whole columns at once.
    affinity_KC = np.ascontiguousarray(sources.affinity_CK.T)
    alive_KC = affinity_KC + interests.log_share_K[:, None]
    speaker_C = alive_KC.argmax(axis=0)
    interest_C = alive_KC.max(axis=0)
    log_share_C = interests.log_share_K[speaker_C]
    first_C = affinity_KC.max(axis=0)
    second_C = np.partition(affinity_KC, -2, axis=0)[-2] if len(affinity_KC) > 1 else first_C
    source_SC = np.stack([interest_C, sources.neighbour_C, sources.factor_C])
    blend_C = _standard(np.vstack([source_SC, log_popularity_C])).sum(axis=0)
    score_SC = np.vstack([source_SC, blend_C])
    form_SFC = np.stack([score_SC, _standard(score_SC), _log_rank(score_SC)], axis=1)
    interest_FC = np.stack([interest_C - log_share_C, log_share_C, first_C - second_C])
    return np.vstack([interest_FC, form_SFC.reshape(-1, len(blend_C))])


def _own_block(history: History, now_s: float, row_C: IntArray) -> DoubleArray:
    """What the user did with each candidate: counts, decayed counts, recency, and recency over the usual interval."""
    own_row_U, first_U, inverse_N, count_U = np.unique(
        history.row_N, return_index=True, return_inverse=True, return_counts=True
    )
    age_days_N = np.maximum(now_s - history.time_s_N, 0.0) / DAY_S
    own_FU = np.empty((len(OWN_NAMES), len(own_row_U)))
    own_FU[0] = count_U
    for position, days in enumerate(OWN_HALF_LIFE_DAYS, start=1):
        own_FU[position] = np.bincount(inverse_N, np.exp(log_survival(age_days_N, days)))
    recency_U = np.empty(len(own_row_U))
    recency_U[inverse_N] = age_days_N  # the newest event is written last
    repeated_U = count_U > 1
    interval_U = (age_days_N[first_U] - recency_U) / np.maximum(count_U - 1, 1)
    own_FU[-3] = recency_U
    own_FU[-2] = np.where(repeated_U, interval_U, NEVER)
    own_FU[-1] = np.where(repeated_U, recency_U / np.maximum(interval_U, SHORTEST_INTERVAL_DAYS), NEVER)
    own_FC = np.zeros((len(OWN_NAMES), len(row_C)))
    own_FC[-3:] = NEVER
    slot_C = np.minimum(np.searchsorted(own_row_U, row_C), len(own_row_U) - 1)
    own_C = own_row_U[slot_C] == row_C
    own_FC[:, own_C] = own_FU[:, slot_C[own_C]]
    return own_FC


def _user_block(history: History, now_s: float) -> DoubleArray:
    """How active the user is, the same for all candidates: [5, 1]."""
    event_count, item_count = len(history), len(np.unique(history.row_N))
    span_days = (history.time_s_N[-1] - history.time_s_N[0]) / DAY_S
    recency_days = (now_s - history.time_s_N[-1]) / DAY_S
    return np.array([[event_count], [item_count], [span_days], [recency_days], [item_count / event_count]])


def _standard(score_SC: DoubleArray) -> DoubleArray:
    """Standard scores among the candidates, by source."""
    centred_SC = score_SC - score_SC.mean(axis=1, keepdims=True)
    standard_SC: DoubleArray = centred_SC / (centred_SC.std(axis=1, keepdims=True) + SMALLEST_SPREAD)
    return standard_SC


def _log_rank(score_SC: DoubleArray) -> DoubleArray:
    """log(1 + rank) by source, 0 for the best; equal scores in the order of rows."""
    rank_SC = np.empty(score_SC.shape)
    order_SC = np.argsort(-score_SC, axis=1, kind="stable")
    np.put_along_axis(rank_SC, order_SC, np.arange(score_SC.shape[1], dtype=np.float64)[None, :], axis=1)
    log_rank_SC: DoubleArray = np.log1p(rank_SC)
    return log_rank_SC
