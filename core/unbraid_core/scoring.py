"""Quotas and the score formula.

z_i = max_k [v_k.e_i / temperature + beta * log share_k] + gamma * log pop_i + delta * log1p(own frequency_i)

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
    affinity_CK: DoubleArray = (item_vectors_CD @ interests.vectors_KD.T).astype(np.float64) / scoring.temperature
    return affinity_CK


def score_terms(
    query: Query,
    interests: Interests | None,
    row_C: IntArray,
    affinity_CK: DoubleArray,
    log_popularity_C: FloatArray,
    scoring: Scoring,
) -> tuple[IntArray, ScoreTerms]:
    """The interest that speaks for each candidate (-1: none), and the terms of its score.

    Without interests the score is the log popularity alone, at weight 1.
    """
    zero_C = np.zeros(len(row_C))
    if interests is None:
        nobody_C = np.full(len(row_C), -1, np.int64)
        return nobody_C, ScoreTerms(zero_C, zero_C, log_popularity_C.astype(np.float64), zero_C)
    weight_K = scoring.beta * interests.log_share_K
    speaker_C: IntArray = np.argmax(affinity_CK + weight_K, axis=1)
    terms = ScoreTerms(
        affinity_R=np.take_along_axis(affinity_CK, speaker_C[:, None], axis=1)[:, 0],
        interest_R=weight_K[speaker_C],
        popularity_R=scoring.gamma * log_popularity_C.astype(np.float64),
        frequency_R=scoring.delta * np.log1p(_own_frequency(query, row_C, scoring)) if query.include_seen else zero_C,
    )
    return speaker_C, terms


def _own_frequency(query: Query, row_C: IntArray, scoring: Scoring) -> DoubleArray:
    """Decayed count of the user's own events with each candidate."""
    history = query.history
    weight_N = np.exp(log_survival(query.now_s - history.time_s_N, scoring.own_half_life_s))
    own_row_U, inverse_N = np.unique(history.row_N, return_inverse=True)
    weight_U = np.bincount(inverse_N, weights=weight_N)
    slot_C = np.minimum(np.searchsorted(own_row_U, row_C), len(own_row_U) - 1)
    frequency_C: DoubleArray = np.where(own_row_U[slot_C] == row_C, weight_U[slot_C], 0.0)
    return frequency_C
