"""The sources of candidates: each a stage of the pipeline, named in every answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from unbraid_core.draft import Draft
from unbraid_core.scoring import quotas
from unbraid_core.types import DoubleArray, IntArray, Profile, Scoring, Source

if TYPE_CHECKING:
    from unbraid_core.pipeline import Pipeline
    from unbraid_core.ranker_inputs import RankerInputs

__all__ = ["find_by_factors", "find_by_interests", "find_neighbours", "find_own_items", "find_popular"]


def find_by_interests(pipeline: Pipeline, drafts: Sequence[Draft]) -> None:
    """One index call for all interests of all queries; each list loses blocked rows first, then is cut to its quota."""
    asking = [(draft, draft.interests) for draft in drafts if draft.interests is not None]
    if not asking:
        return
    quotas_BK = [quotas(interests.log_share_K, _scoring(pipeline, draft)) for draft, interests in asking]
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


def find_neighbours(pipeline: Pipeline, drafts: Sequence[Draft]) -> None:
    """What goes together with the items of the history; profile ``learned`` only."""
    for draft, inputs in _learned(pipeline, drafts):
        draft.neighbour_I = inputs.neighbours.score(draft.query.history, draft.query.now_s)
        draft.add(_best(draft, draft.neighbour_I, inputs.depth), Source.NEIGHBOURS)


def find_by_factors(pipeline: Pipeline, drafts: Sequence[Draft]) -> None:
    """What people with a similar history had; profile ``learned`` only."""
    for draft, inputs in _learned(pipeline, drafts):
        draft.factor_I = inputs.factors.score(draft.query.history)
        draft.add(_best(draft, draft.factor_I, inputs.depth), Source.FACTORS)


def find_own_items(_pipeline: Pipeline, drafts: Sequence[Draft]) -> None:
    """The user's own items, where seen ones may return."""
    for draft in drafts:
        if draft.query.include_seen:
            draft.add(np.unique(draft.query.history.row_N), Source.OWN_ITEMS)


def find_popular(pipeline: Pipeline, drafts: Sequence[Draft]) -> None:
    """Popular items: always in profile ``learned``; in any other where a list would be short, or have no choice."""
    for draft, inputs in _learned(pipeline, drafts):
        for popular_row_I in inputs.statistics.popular_row_PI:
            draft.add(popular_row_I[: inputs.depth], Source.POPULAR)
    for draft in drafts:
        query, wanted = draft.query, draft.query.limit
        if query.diversity > 0 and draft.interests is None:
            wanted = max(wanted, pipeline.scoring.candidate_count)
        missing = wanted - len(draft.row_C)
        if missing > 0:
            popular_C = draft.allowed(pipeline.popular_row_I[: wanted + draft.blocked_count])
            fresh_C = popular_C[~np.isin(popular_C, draft.row_C)]
            draft.add(fresh_C[:missing], Source.POPULAR)


def _scoring(pipeline: Pipeline, draft: Draft) -> Scoring:
    """With other sources beside them, the interests bring as many candidates as each of those."""
    if pipeline.ranker_inputs is None or draft.profile is not Profile.LEARNED:
        return pipeline.scoring
    return replace(pipeline.scoring, candidate_count=pipeline.ranker_inputs.depth)


def _learned(pipeline: Pipeline, drafts: Sequence[Draft]) -> list[tuple[Draft, RankerInputs]]:
    """The drafts that the ranker will rank, each with what it reads."""
    inputs = pipeline.ranker_inputs
    return [] if inputs is None else [(draft, inputs) for draft in drafts if draft.profile is Profile.LEARNED]


def _best(draft: Draft, score_I: DoubleArray, count: int) -> IntArray:
    """The allowed rows with the largest scores above 0, at most ``count``, in no order."""
    row_C = np.flatnonzero((score_I > 0) & ~draft.blocked_I)
    if len(row_C) <= count:
        return row_C
    best_C: IntArray = row_C[np.argpartition(-score_I[row_C], count - 1)[:count]]
    return best_C
