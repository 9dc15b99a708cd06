"""Quotas and the score formula.

z_i = interest_i + gamma * log pop_i + delta * log1p(own frequency_i)

The interests of a user are a mixture, as in the loss: with a_ki = v_k.e_i / temperature, over the candidates c,

    interest_i = log sum_k share_k^beta * exp(a_ki) / sum_c exp(a_kc)

so that an interest with many items near it has no more to give away than any other. A scoring that is no mixture lets
the best interest speak alone: interest_i = max_k [a_ki + beta * log share_k].

A decay never multiplies an inner product (a negative score would rise); it enters as a log share, an added term.
"""

from __future__ import annotations

import numpy as np

from unbraid_core.decay import log_survival
from unbraid_core.types import DoubleArray, FloatArray, IntArray, Interests, Query, ScoreTerms, Scoring

__all__ = ["affinities", "quotas", "score_terms"]


def quotas(log_share_K: DoubleArray, scoring: Scoring) -> IntArray:
    """How many candidates each interest may bring: max(quota_min, N * share^alpha / sum share^alpha)."""
    flattened_K = np.exp(scoring.quota_alpha * log_share_K)
    ideal_K = scoring.candidate_count * flattened_K / flattened_K.sum()
    quota_K: IntArray = np.maximum(scoring.quota_min, np.rint(ideal_K)).astype(np.int64)
    return quota_K


def affinities(interests: Interests | None, item_vectors_CD: FloatArray, scoring: Scoring) -> DoubleArray:
    """Inner product of every candidate and interest over the temperature: float64 [C, K], K = 0 without interests."""
    if interests is None:
        return np.empty((len(item_vectors_CD), 0))
    # Interests are rows in memory, so that NumPy works on whole columns of candidates at once.
    affinity_KC: DoubleArray = (interests.vectors_KD @ item_vectors_CD.T).astype(np.float64) / scoring.temperature
    return affinity_KC.T


def score_terms(
    query: Query,
    interests: Interests | None,
    row_C: IntArray,
    affinity_CK: DoubleArray,
    log_popularity_C: FloatArray,
    scoring: Scoring,
) -> tuple[IntArray, ScoreTerms]:
    """The interest that speaks for each candidate (-1: none), and the terms of its score.

    There is at least one candidate, and they come in the order of their rows.

    What the interests say is parted in the affinity to the one that speaks, and all else: how alive it is, how many
    other candidates share its attention, what the other interests add.

    Without interests the score is the log popularity alone, at weight 1.
    """
    zero_C = np.zeros(len(row_C))
    if interests is None:
        nobody_C = np.full(len(row_C), -1, np.int64)
        return nobody_C, ScoreTerms(zero_C, zero_C, log_popularity_C.astype(np.float64), zero_C)
    weight_K = scoring.beta * interests.log_share_K
    if scoring.mixture:
        weight_K = weight_K - _log_sum(affinity_CK.T)
    said_CK = affinity_CK + weight_K
    speaker_C: IntArray = np.argmax(said_CK, axis=1)
    affinity_C = np.take_along_axis(affinity_CK, speaker_C[:, None], axis=1)[:, 0]
    terms = ScoreTerms(
        affinity_R=affinity_C,
        interest_R=_log_sum(said_CK) - affinity_C if scoring.mixture else weight_K[speaker_C],
        popularity_R=scoring.gamma * log_popularity_C.astype(np.float64),
        frequency_R=scoring.delta * np.log1p(_own_frequency(query, row_C, scoring)) if query.include_seen else zero_C,
    )
    return speaker_C, terms


def _log_sum(value_NM: DoubleArray) -> DoubleArray:
    """Log of the sum of the exponentials of each row."""
    peak_N = value_NM.max(axis=1)
    log_sum_N: DoubleArray = np.log(np.exp(value_NM - peak_N[:, None]).sum(axis=1)) + peak_N
    return log_sum_N


def _own_frequency(query: Query, row_C: IntArray, scoring: Scoring) -> DoubleArray:
    """Decayed count of the user's own events with each candidate, which are in the order of rows."""
    history = query.history
    weight_N = np.exp(log_survival(query.now_s - history.time_s_N, scoring.own_half_life_s))
    slot_N = np.minimum(np.searchsorted(row_C, history.row_N), len(row_C) - 1)
    weight_N[row_C[slot_N] != history.row_N] = 0.0
    return np.bincount(slot_N, weight_N, len(row_C)).astype(np.float64, copy=False)
