"""The sources of candidates: each a stage of the pipeline, named in every answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from unbraid_core.blocking import MOST_PASSED_OVER
from unbraid_core.draft import Draft
from unbraid_core.effort import reduced_depth, searched_interests
from unbraid_core.item_statistics import POPULAR_COLUMNS
from unbraid_core.live.popular_rows import PopularRows
from unbraid_core.live.stacked_rows import StackedRows
from unbraid_core.scoring import quotas
from unbraid_core.types import (
    DoubleArray,
    Effort,
    FloatArray,
    IntArray,
    Interests,
    Profile,
    Scoring,
    SearchPlan,
    Source,
)

if TYPE_CHECKING:
    from unbraid_core.pipeline import Pipeline
    from unbraid_core.ranker_inputs import RankerInputs

__all__ = ["find_by_factors", "find_by_interests", "find_listed", "find_neighbours", "find_own_items", "find_popular"]


RARE_SHARE = 1 / 16
"""Up to this share of the rows, the allowed ones are put in order; of more, the popular ones are looked through."""


class _Search(NamedTuple):
    """What one query searches for: some interests, and how many rows each of them may bring."""

    draft: Draft
    vectors_QD: FloatArray
    quota_Q: IntArray


def find_by_interests(pipeline: Pipeline, drafts: Sequence[Draft]) -> None:
    """The best rows of each interest, blocked ones left out, cut to its quota.

    One index call searches for all interests of all queries that block few rows, and finds those as well. A query with
    a filter has a call of its own that keeps to what matches, and finds the few of it that are blocked as well: so a
    filter is the same for all users. One that blocks many rows keeps to its allowed rows.
    """
    searches = [_search(pipeline, draft, draft.interests) for draft in drafts if draft.interests is not None]
    together = [search for search in searches if not _keeps_to_allowed(search.draft)]
    if together:
        _search_together(pipeline, together)
    for draft, vectors_QD, quota_Q in searches:
        if _keeps_to_allowed(draft):
            depth, kept_to_I = int(quota_Q.max()), ~draft.blocked_I
            if draft.matching_count is not None and draft.matching_count <= draft.allowed_count + MOST_PASSED_OVER:
                depth, kept_to_I = depth + draft.matching_count - draft.allowed_count, draft.matching_I
            hits = pipeline.searcher.search(vectors_QD, depth, kept_to_I)
            _keep(draft, quota_Q, hits.row_QC, hits.plan)


def _search(pipeline: Pipeline, draft: Draft, interests: Interests) -> _Search:
    quota_K = quotas(interests.log_share_K, _scoring(pipeline, draft))
    if draft.effort is Effort.FULL:
        return _Search(draft, interests.vectors_KD, quota_K)
    searched_Q = searched_interests(interests.log_share_K, quota_K, draft.query.limit)
    return _Search(draft, interests.vectors_KD[searched_Q], quota_K[searched_Q])


def _keeps_to_allowed(draft: Draft) -> bool:
    return draft.query.is_filtered or draft.blocked_count > MOST_PASSED_OVER


def _search_together(pipeline: Pipeline, searches: Sequence[_Search]) -> None:
    depth_B = [min(int(each.quota_Q.max()) + each.draft.blocked_count, pipeline.searcher.size) for each in searches]
    hits = pipeline.searcher.search(np.concatenate([each.vectors_QD for each in searches]), max(depth_B))
    stops = np.cumsum([len(each.quota_Q) for each in searches])
    for (draft, _, quota_Q), depth, deepest_QC in zip(
        searches, depth_B, np.split(hits.row_QC, stops[:-1]), strict=True
    ):
        _keep(draft, quota_Q, deepest_QC[:, :depth], hits.plan)


def _keep(draft: Draft, quota_Q: IntArray, row_QC: IntArray, plan: SearchPlan) -> None:
    """Each list loses blocked rows first, then it is cut to its quota."""
    found_QC = row_QC >= 0
    allowed_QC = found_QC & ~draft.blocked_I[row_QC]
    kept_QC = allowed_QC & (np.cumsum(allowed_QC, axis=1) <= quota_Q[:, None])
    row_C = np.unique(row_QC[kept_QC])
    draft.plan = plan
    draft.removed["blocked"] = int(found_QC.sum() - allowed_QC.sum())
    draft.removed["over_quota"] = int(allowed_QC.sum() - kept_QC.sum())
    draft.removed["found_again"] = int(kept_QC.sum()) - len(row_C)
    draft.add(row_C, Source.INTERESTS)


def find_neighbours(pipeline: Pipeline, drafts: Sequence[Draft]) -> None:
    """What goes together with the items of the history; profile ``learned`` only."""
    for draft, inputs in _learned(pipeline, drafts):
        draft.neighbour_I = inputs.neighbours.score(draft.query.history, draft.query.now_s)
        draft.add(_best(draft, draft.neighbour_I, _depth(draft, inputs)), Source.NEIGHBOURS)


def find_by_factors(pipeline: Pipeline, drafts: Sequence[Draft]) -> None:
    """What people with a similar history had; profile ``learned`` only."""
    for draft, inputs in _learned(pipeline, drafts):
        draft.factor_I = inputs.factors.score(draft.query.history)
        draft.add(_best(draft, draft.factor_I, _depth(draft, inputs)), Source.FACTORS)


def find_own_items(_pipeline: Pipeline, drafts: Sequence[Draft]) -> None:
    """The user's own items, where seen ones may return."""
    for draft in drafts:
        if draft.query.include_seen:
            draft.add(np.unique(draft.query.history.row_N), Source.OWN_ITEMS)


def find_popular(pipeline: Pipeline, drafts: Sequence[Draft]) -> None:
    """Popular items: always in profile ``learned``; in any other where a list would be short, or have no choice."""
    for draft, inputs in _learned(pipeline, drafts):
        statistics, depth = inputs.statistics, _depth(draft, inputs)
        for column, popular_row_I in zip(POPULAR_COLUMNS, statistics.popular_row_PI, strict=True):
            if draft.query.is_filtered:
                of_column = partial(_of_column, statistics.value_IS, column)
                draft.add(_most_popular(draft, popular_row_I, of_column, depth), Source.POPULAR)
            else:
                draft.add(popular_row_I[:depth], Source.POPULAR)
    for draft in drafts:
        query, wanted = draft.query, draft.query.limit
        if query.diversity > 0 and draft.interests is None:
            wanted = max(wanted, pipeline.scoring.candidate_count)
        missing = wanted - len(draft.row_C)
        if missing > 0:
            popular_C = _most_popular(draft, pipeline.popular_row_I, pipeline.log_popularity_I.__getitem__, wanted)
            fresh_C = popular_C[~np.isin(popular_C, draft.row_C)]
            draft.add(fresh_C[:missing], Source.POPULAR)


def find_listed(_pipeline: Pipeline, drafts: Sequence[Draft]) -> None:
    """The rows that the query lists; no source is named for them but those that found them anyway."""
    for draft in drafts:
        if draft.query.listed_row_U is not None:
            # From here on nothing else asks what is blocked.
            draft.blocked_I[draft.query.listed_row_U] = False
            draft.add(draft.query.listed_row_U, Source(0))


def _most_popular(
    draft: Draft, popular_row_I: IntArray | PopularRows, popularity_of: Callable[[IntArray], FloatArray], count: int
) -> IntArray:
    """The ``count`` most popular allowed rows, or all that there are; equal ones in the order of rows."""
    if draft.allowed_count <= RARE_SHARE * len(draft.blocked_I):
        row_A = np.flatnonzero(~draft.blocked_I)
        return row_A[np.argsort(-popularity_of(row_A), kind="stable")[:count]]
    reach = count
    while True:
        reach *= 2
        popular_C = draft.allowed(popular_row_I[:reach])[:count]
        if len(popular_C) == min(count, draft.allowed_count):
            return popular_C


def _of_column(value_IS: FloatArray | StackedRows[np.float32], column: int, rows: IntArray) -> FloatArray:
    return value_IS[rows][:, column]


def _scoring(pipeline: Pipeline, draft: Draft) -> Scoring:
    """With other sources beside them, the interests bring as many candidates as each of those."""
    if pipeline.ranker_inputs is None or draft.profile is not Profile.LEARNED:
        return pipeline.scoring
    return replace(pipeline.scoring, candidate_count=_depth(draft, pipeline.ranker_inputs))


def _depth(draft: Draft, inputs: RankerInputs) -> int:
    """How many candidates each source brings in profile ``learned``."""
    return inputs.depth if draft.effort is Effort.FULL else reduced_depth(inputs.depth, draft.query.limit)


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
