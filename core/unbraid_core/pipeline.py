"""The recommendation pipeline: one list of named stages, run by the server and by the offline evaluation alike.

    block -> encode -> interests -> neighbours -> factors -> own items -> popular -> listed -> score -> describe
    -> rank -> calibrate -> select

Neighbours, factors, describe and rank do nothing in profile ``formula``, listed nothing where no items are given.

A stage works on a batch of drafts, one per query, and counts what it takes out of a draft, by reason.
The pipeline has no clock, no I/O, and no state but a cache that changes no answer: the encoder, the
searcher and ``now`` are handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from unbraid_core.attributes import Attributes
from unbraid_core.balance import balanced
from unbraid_core.blocking import block
from unbraid_core.calibration import Calibration
from unbraid_core.candidates import (
    find_by_factors,
    find_by_interests,
    find_listed,
    find_neighbours,
    find_own_items,
    find_popular,
)
from unbraid_core.categories import Categories
from unbraid_core.diversity import diversify
from unbraid_core.draft import Draft
from unbraid_core.encoding import encode
from unbraid_core.errors import InvalidInput
from unbraid_core.features import SourceScores, candidate_features
from unbraid_core.interactions import speaker_products
from unbraid_core.interest_cache import InterestCache
from unbraid_core.item_vectors import ItemVectors
from unbraid_core.live.popular_rows import PopularRows
from unbraid_core.live.stacked_rows import StackedRows
from unbraid_core.ports import Encoder, Ranker, Searcher
from unbraid_core.ranker_inputs import RankerInputs
from unbraid_core.scoring import affinities, score_terms
from unbraid_core.types import (
    BoolArray,
    DoubleArray,
    FloatArray,
    IntArray,
    Interests,
    Profile,
    Query,
    Ranking,
    Scoring,
)

__all__ = ["STAGES", "Described", "Pipeline", "StageWatch"]

# Told the name of every stage when it begins.
StageWatch = Callable[[str], None]


class Described(NamedTuple):
    """The candidates of one query as the ranker sees them: rows [C], the sources of each [C], features [C, F]."""

    row_C: IntArray
    source_C: IntArray
    feature_CF: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Pipeline:
    """Everything that an answer depends on besides the query. Safe to call from several threads at once.

    Attributes:
        encoder: history to interests.
        searcher: interest to rows, over the same vectors as ``item_vectors_ID``.
        item_vectors_ID: unit vectors of the catalogue.
        log_popularity_I: log of each item's decayed, smoothed share of all events; finite.
        popular_row_I: all living rows, most popular first.
        half_life_s_K: half-life of each interest.
        scoring: numbers of the score formula.
        max_history: L, how many of the newest events the encoder sees.
        ranker_inputs: what profile ``learned`` reads; None where there is none.
        ranker: what it ranks with; None where there is none.
        calibrations: scores to probabilities, for each profile that has them.
        categories: of the catalogue, for diversity; None where no item has any.
        tombstone_I: which rows are dead; ``searcher`` and ``popular_row_I`` leave them out. None where all are alive.
        attributes: of the catalogue; None where no query filters by them.
        cache: of what ``encoder`` makes of rows of ``item_vectors_ID``; None where every history is encoded anew.
    """

    encoder: Encoder
    searcher: Searcher
    item_vectors_ID: ItemVectors
    log_popularity_I: FloatArray | StackedRows[np.float32]
    popular_row_I: IntArray | PopularRows
    half_life_s_K: DoubleArray
    scoring: Scoring
    max_history: int
    ranker_inputs: RankerInputs | None = None
    ranker: Ranker | None = None
    calibrations: Mapping[Profile, Calibration] = field(default_factory=dict)
    categories: Categories | None = None
    tombstone_I: BoolArray | None = None
    attributes: Attributes | None = None
    cache: InterestCache | None = None

    def recommend(self, queries: Sequence[Query], watch: StageWatch | None = None) -> list[Ranking]:
        """Answer a batch of queries; no answer depends on the others in its batch.

        A ranking is shorter than its limit only if fewer items of the catalogue are allowed.

        Args:
            queries: of one batch.
            watch: who measures the stages; the pipeline itself has no clock.

        Raises:
            InvalidInput: a query wants profile ``learned``, and there is no ranker, or filters by what the catalogue
                does not have.
        """
        for query in queries:
            self.check(query)
        drafts = [Draft(query) for query in queries]
        for name, stage in STAGES.items():
            if watch is not None:
                watch(name)
            stage(self, drafts)
        return [draft.ranking() for draft in drafts]

    def check(self, query: Query) -> None:
        """Whether this release can answer a query.

        Raises:
            InvalidInput: as ``recommend``.
        """
        if self.ranker is None and query.profile is Profile.LEARNED:
            raise InvalidInput(
                "profile", "is learned, and this release has no ranker; ask for formula, or release one with a ranker"
            )
        if query.filter is not None:
            assert self.attributes is not None
            self.attributes.check(query.filter)

    def features(self, queries: Sequence[Query]) -> list[Described]:
        """What the ranker is asked for each query of profile ``learned``.

        Training learns from these, so that it sees what serving will see.
        """
        return [
            Described(draft.row_C, draft.source_C, draft.feature_CF) for draft in self._drafts_before("rank", queries)
        ]

    def found_by_interests(self, queries: Sequence[Query]) -> list[IntArray]:
        """The rows [C] that the interests of each query bring, before any other source; none without a history.

        What the recall of an index is about: the same with an exact searcher is what should have been found.
        """
        return [draft.row_C for draft in self._drafts_before("neighbours", queries)]

    def interests(self, queries: Sequence[Query]) -> list[Interests | None]:
        """The interests of each query's user at its ``now``; None for an empty history."""
        drafts = [Draft(query) for query in queries]
        encode(self, drafts)
        return [draft.interests for draft in drafts]

    def _drafts_before(self, stage: str, queries: Sequence[Query]) -> list[Draft]:
        """Drafts that all stages before the named one have worked on."""
        drafts = [Draft(query) for query in queries]
        for name, work in STAGES.items():
            if name == stage:
                break
            work(self, drafts)
        return drafts


def _score(pipeline: Pipeline, drafts: Sequence[Draft]) -> None:
    """The terms of the score formula for every candidate, and the interest that speaks for it."""
    for draft in drafts:
        if not len(draft.row_C):
            continue
        vectors_CD = pipeline.item_vectors_ID[draft.row_C]
        draft.affinity_CK = affinities(draft.interests, vectors_CD, pipeline.scoring)
        draft.interest_C, draft.terms = score_terms(
            query=draft.query,
            interests=draft.interests,
            row_C=draft.row_C,
            affinity_CK=draft.affinity_CK,
            log_popularity_C=pipeline.log_popularity_I[draft.row_C],
            scoring=pipeline.scoring,
        )
        draft.score_C = draft.terms.total()


def _describe(pipeline: Pipeline, drafts: Sequence[Draft]) -> None:
    """The features of every candidate; profile ``learned`` only."""
    inputs = pipeline.ranker_inputs
    for draft in drafts:
        if inputs is None or draft.interests is None or draft.profile is not Profile.LEARNED or not len(draft.row_C):
            continue
        draft.feature_CF = candidate_features(
            history=draft.query.history,
            now_s=draft.query.now_s,
            interests=draft.interests,
            row_C=draft.row_C,
            sources=SourceScores(draft.affinity_CK, draft.neighbour_I[draft.row_C], draft.factor_I[draft.row_C]),
            statistics=inputs.statistics,
        )
        if inputs.product:
            vectors_CD = pipeline.item_vectors_ID[draft.row_C]
            product_CD = speaker_products(draft.interests, draft.affinity_CK, vectors_CD)
            draft.feature_CF = np.concatenate([draft.feature_CF, product_CD], axis=1)


def _rank(pipeline: Pipeline, drafts: Sequence[Draft]) -> None:
    """The scores of the ranker in place of those of the formula, by one call for all queries."""
    described = [draft for draft in drafts if len(draft.feature_CF)]
    if pipeline.ranker is None or not described:
        return
    score_C = pipeline.ranker.score(np.concatenate([draft.feature_CF for draft in described]))
    stops = np.cumsum([len(draft.row_C) for draft in described])
    for draft, own_score_C in zip(described, np.split(score_C, stops[:-1]), strict=True):
        draft.score_C = own_score_C


def _calibrate(pipeline: Pipeline, drafts: Sequence[Draft]) -> None:
    """Scores to probabilities where the profile has them, and away with what is too improbable."""
    for draft in drafts:
        calibration = pipeline.calibrations.get(draft.profile)
        if calibration is not None and draft.interests is not None:
            draft.probability_C = calibration.probability(draft.score_C)
        threshold = draft.query.min_probability
        if threshold > 0.0:
            known_C = draft.probability_C if draft.probability_C is not None else np.zeros(len(draft.row_C))
            likely_C = np.flatnonzero(known_C >= threshold)
            draft.removed["improbable"] = len(draft.row_C) - len(likely_C)
            draft.select(likely_C)


def _select(pipeline: Pipeline, drafts: Sequence[Draft]) -> None:
    """The best ``limit`` candidates, or listed ones where some are listed, as balanced and diverse as asked for.

    Equal scores are ordered by row: answers repeat.
    """
    vectors_ID, categories = pipeline.item_vectors_ID, pipeline.categories
    for draft in drafts:
        query = draft.query
        best_C = np.lexsort((draft.row_C, -draft.score_C))
        if query.listed_row_U is not None:
            best_C = best_C[np.isin(draft.row_C[best_C], query.listed_row_U)]
        if query.balance > 0 and draft.interests is not None:
            log_share_K = draft.interests.log_share_K
            best_C = best_C[balanced(draft.interest_C[best_C], log_share_K, query.balance, query.limit)]
        best_R = best_C[diversify(draft.row_C[best_C], query.diversity, query.limit, vectors_ID, categories)]
        draft.removed["beyond_limit"] = len(draft.row_C) - len(best_R)
        draft.select(best_R)


Stage = Callable[[Pipeline, Sequence[Draft]], None]

STAGES: dict[str, Stage] = {
    "block": block,
    "encode": encode,
    "interests": find_by_interests,
    "neighbours": find_neighbours,
    "factors": find_by_factors,
    "own items": find_own_items,
    "popular": find_popular,
    "listed": find_listed,
    "score": _score,
    "describe": _describe,
    "rank": _rank,
    "calibrate": _calibrate,
    "select": _select,
}
