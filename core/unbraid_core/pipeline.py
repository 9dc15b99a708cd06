"""The recommendation pipeline: one list of named stages, run by the server and by the offline evaluation alike.

    block -> encode -> retrieve -> supplement -> score -> select

A stage works on a batch of drafts, one per query, and counts what it takes out of a draft, by reason.
The pipeline has no clock, no I/O and no state: the encoder, the searcher and ``now`` are handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from unbraid_core.decay import log_mass, log_share
from unbraid_core.ports import Encoder, Searcher
from unbraid_core.scoring import quotas, score_terms
from unbraid_core.types import (
    Basis,
    BoolArray,
    DoubleArray,
    FloatArray,
    History,
    HistoryBatch,
    IntArray,
    Interests,
    Query,
    Ranking,
    ScoreTerms,
    Scoring,
    Source,
)

__all__ = ["STAGES", "Pipeline", "pad_histories"]


@dataclass(frozen=True, slots=True, eq=False)
class Pipeline:
    """Everything that an answer depends on besides the query. Safe to call from several threads at once.

    Attributes:
        encoder: history to interests.
        searcher: interest to rows, over the same vectors as ``item_vectors_ID``.
        item_vectors_ID: unit vectors of the catalogue.
        log_popularity_I: log of each item's decayed, smoothed share of all events; finite.
        popular_row_I: all rows, most popular first.
        half_life_s_K: half-life of each interest.
        scoring: numbers of the score formula.
        max_history: L, how many of the newest events the encoder sees.
    """

    encoder: Encoder
    searcher: Searcher
    item_vectors_ID: FloatArray
    log_popularity_I: FloatArray
    popular_row_I: IntArray
    half_life_s_K: DoubleArray
    scoring: Scoring
    max_history: int

    def recommend(self, queries: Sequence[Query]) -> list[Ranking]:
        """Answer a batch of queries; no answer depends on the others in its batch.

        A ranking is shorter than its limit only if fewer items of the catalogue are allowed.
        """
        drafts = [_Draft(query) for query in queries]
        for _, stage in STAGES:
            stage(self, drafts)
        return [draft.ranking() for draft in drafts]

    def interests(self, queries: Sequence[Query]) -> list[Interests | None]:
        """The interests of each query's user at its ``now``; None for an empty history."""
        drafts = [_Draft(query) for query in queries]
        _encode(self, drafts)
        return [draft.interests for draft in drafts]


_NO_ROWS: IntArray = np.empty(0, np.int64)
_NO_FLAGS: BoolArray = np.empty(0, np.bool_)
_NO_TERMS = ScoreTerms(*(np.empty(0) for _ in range(4)))


@dataclass(slots=True, eq=False)
class _Draft:
    """The answer to one query while it is being made; the candidate arrays are parallel."""

    query: Query
    interests: Interests | None = None
    blocked_I: BoolArray = field(default_factory=lambda: _NO_FLAGS)
    row_C: IntArray = field(default_factory=lambda: _NO_ROWS)
    source_C: IntArray = field(default_factory=lambda: _NO_ROWS)
    interest_C: IntArray = field(default_factory=lambda: _NO_ROWS)
    terms: ScoreTerms = _NO_TERMS
    removed: dict[str, int] = field(default_factory=dict)

    @property
    def blocked_count(self) -> int:
        """How many of the best rows of any list may have to be passed over."""
        return int(np.count_nonzero(self.blocked_I))

    def add(self, row_C: IntArray, source: Source) -> None:
        """Append candidates that are not blocked; known ones only gain the source."""
        allowed_C = row_C[~self.blocked_I[row_C]]
        known_C = np.isin(self.row_C, allowed_C)
        self.source_C[known_C] |= source
        new_C = allowed_C[~np.isin(allowed_C, self.row_C)]
        self.row_C = np.concatenate([self.row_C, new_C])
        self.source_C = np.concatenate([self.source_C, np.full(len(new_C), source, np.int64)])

    def ranking(self) -> Ranking:
        return Ranking(
            row_R=self.row_C,
            score_R=self.terms.total(),
            interest_R=self.interest_C,
            source_R=self.source_C,
            terms=self.terms,
            basis=Basis.POPULARITY if self.interests is None else Basis.INTERESTS,
            interests=self.interests,
            removed=self.removed,
        )


def _block(pipeline: Pipeline, drafts: Sequence[_Draft]) -> None:
    """Mark what must not come back: excluded items, and seen ones unless they are asked for."""
    for draft in drafts:
        draft.blocked_I = np.zeros(len(pipeline.item_vectors_ID), np.bool_)
        draft.blocked_I[draft.query.excluded_row_X] = True
        if not draft.query.include_seen:
            draft.blocked_I[draft.query.history.row_N] = True


def _encode(pipeline: Pipeline, drafts: Sequence[_Draft]) -> None:
    """History to interests, each with the mass that is still alive at the query's now."""
    known = [draft for draft in drafts if len(draft.query.history) > 0]
    if not known:
        return
    histories = [draft.query.history.last(pipeline.max_history) for draft in known]
    encoded = pipeline.encoder.encode(pad_histories(histories, pipeline.item_vectors_ID))
    for b, (draft, history) in enumerate(zip(known, histories, strict=True)):
        assignment_KL = encoded.assignment_BKL[b, :, : len(history)]
        log_mass_K = log_mass(assignment_KL, draft.query.now_s - history.time_s_N, pipeline.half_life_s_K)
        draft.interests = Interests(
            history=history,
            vectors_KD=encoded.vectors_BKD[b],
            assignment_KL=assignment_KL,
            mass_K=np.exp(log_mass_K),
            log_share_K=log_share(log_mass_K),
        )


def _retrieve(pipeline: Pipeline, drafts: Sequence[_Draft]) -> None:
    """One index call for all interests of all queries; each list loses blocked rows first, then is cut to its quota."""
    asking = [(draft, draft.interests) for draft in drafts if draft.interests is not None]
    if not asking:
        return
    quotas_BK = [quotas(interests.log_share_K, pipeline.scoring) for _, interests in asking]
    depth_B = [
        min(int(quota_K.max()) + draft.blocked_count, pipeline.searcher.size)
        for (draft, _), quota_K in zip(asking, quotas_BK, strict=True)
    ]
    vectors_QD = np.concatenate([interests.vectors_KD for _, interests in asking])
    hits = pipeline.searcher.search(vectors_QD, max(depth_B))
    found_BKC = hits.row_QC.reshape(len(asking), -1, hits.row_QC.shape[1])
    for (draft, _), quota_K, depth, deepest_KC in zip(asking, quotas_BK, depth_B, found_BKC, strict=True):
        row_KC = deepest_KC[:, :depth]
        found_KC = row_KC >= 0
        allowed_KC = found_KC & ~draft.blocked_I[row_KC]
        kept_KC = allowed_KC & (np.cumsum(allowed_KC, axis=1) <= quota_K[:, None])
        row_C = np.unique(row_KC[kept_KC])
        draft.removed["blocked"] = int(found_KC.sum() - allowed_KC.sum())
        draft.removed["over_quota"] = int(allowed_KC.sum() - kept_KC.sum())
        draft.removed["found_again"] = int(kept_KC.sum()) - len(row_C)
        draft.add(row_C, Source.INTERESTS)


def _supplement(pipeline: Pipeline, drafts: Sequence[_Draft]) -> None:
    """The user's own items where seen ones may return, and popular items where a list would be short."""
    for draft in drafts:
        query = draft.query
        if query.include_seen:
            draft.add(np.unique(query.history.row_N), Source.OWN_ITEMS)
        missing = query.limit - len(draft.row_C)
        if missing > 0:
            popular_C = pipeline.popular_row_I[: query.limit + draft.blocked_count]
            fresh_C = popular_C[~draft.blocked_I[popular_C] & ~np.isin(popular_C, draft.row_C)]
            draft.add(fresh_C[:missing], Source.POPULAR)


def _score(pipeline: Pipeline, drafts: Sequence[_Draft]) -> None:
    """The terms of the score formula for every candidate, and the interest that speaks for it."""
    for draft in drafts:
        draft.interest_C, draft.terms = score_terms(
            query=draft.query,
            interests=draft.interests,
            row_C=draft.row_C,
            item_vectors_CD=pipeline.item_vectors_ID[draft.row_C],
            log_popularity_C=pipeline.log_popularity_I[draft.row_C],
            scoring=pipeline.scoring,
        )


def _select(_pipeline: Pipeline, drafts: Sequence[_Draft]) -> None:
    """The best ``limit`` candidates; equal scores are ordered by row, so an answer is repeatable."""
    for draft in drafts:
        best_R = np.lexsort((draft.row_C, -draft.terms.total()))[: draft.query.limit]
        draft.removed["beyond_limit"] = len(draft.row_C) - len(best_R)
        draft.row_C = draft.row_C[best_R]
        draft.source_C = draft.source_C[best_R]
        draft.interest_C = draft.interest_C[best_R]
        draft.terms = draft.terms.take(best_R)


def pad_histories(histories: Sequence[History], item_vectors_ID: FloatArray) -> HistoryBatch:
    """Gather item vectors and right-pad to the longest history; every history has at least one event."""
    shape_BL = len(histories), max(len(history) for history in histories)
    row_BL = np.zeros(shape_BL, np.int64)
    age_s_BL = np.zeros(shape_BL, np.float32)
    action_BL = np.zeros(shape_BL, np.int64)
    mask_BL = np.zeros(shape_BL, np.bool_)
    for b, history in enumerate(histories):
        valid = slice(0, len(history))
        row_BL[b, valid] = history.row_N
        age_s_BL[b, valid] = history.time_s_N[-1] - history.time_s_N
        action_BL[b, valid] = history.action_N
        mask_BL[b, valid] = True
    item_vectors_BLD = item_vectors_ID[row_BL]
    item_vectors_BLD[~mask_BL] = 0.0
    return HistoryBatch(item_vectors_BLD, age_s_BL, action_BL, mask_BL)


Stage = Callable[[Pipeline, Sequence[_Draft]], None]

STAGES: tuple[tuple[str, Stage], ...] = (
    ("block", _block),
    ("encode", _encode),
    ("retrieve", _retrieve),
    ("supplement", _supplement),
    ("score", _score),
    ("select", _select),
)
