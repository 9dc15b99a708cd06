"""The pipeline against a plain Python oracle that scores the whole catalogue, item by item.

Vectors have eight coordinates, four of them 1/2 or -1/2 and the others 0: they are unit vectors whose inner products
are exact however they are added up, and often equal. So oracle and pipeline must agree to the last place of a list.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid_core.pipeline import Pipeline
from unbraid_core.scoring import quotas
from unbraid_core.types import Basis, HistoryBatch, IntArray, Query, Ranking, SearchPlan, Source

if TYPE_CHECKING:
    from tests.unit.core.conftest import MakeWorld


@dataclass(frozen=True)
class Scored:
    """What the oracle says about one item: the addends of its score, and the interest that speaks for it."""

    affinity: float
    interest: float
    popularity: float
    frequency: float
    speaker: int

    @property
    def score(self) -> float:
        return self.affinity + self.interest + self.popularity + self.frequency


@dataclass(frozen=True)
class Oracle:
    """Answers one query from the definitions alone."""

    pipeline: Pipeline
    query: Query

    @property
    def allowed(self) -> list[int]:
        blocked = set(self.query.excluded_row_X.tolist())
        if not self.query.include_seen:
            blocked |= set(self.query.history.row_N.tolist())
        return [row for row in self.matching if row not in blocked]

    @property
    def matching(self) -> list[int]:
        """The test of the attributes has an oracle for filters."""
        rows = list(range(len(self.pipeline.item_vectors_ID)))
        if self.query.filter is not None:
            assert self.pipeline.attributes is not None
            matching_I = self.pipeline.attributes.matching(self.query.filter)
            rows = np.flatnonzero(matching_I).tolist()
        listed = self.query.allowed_row_A
        return [row for row in rows if listed is None or row in listed]

    def interests(self) -> tuple[list[list[float]], list[float]]:
        """The vectors, and the share of each."""
        history = self.query.history.last(self.pipeline.max_history)
        encoded = self.pipeline.encoder.encode(
            HistoryBatch(
                self.pipeline.item_vectors_ID[history.row_N][None],
                (history.time_s_N[-1] - history.time_s_N)[None].astype(np.float32),
                history.action_N[None],
                np.ones((1, len(history)), np.bool_),
            )
        )
        masses = []
        for share_L, half_life_s in zip(encoded.assignment_BKL[0], self.pipeline.half_life_s_K, strict=True):
            ages = [max(0.0, self.query.now_s - time_s) for time_s in history.time_s_N]
            masses.append(
                math.fsum(float(share) * 2.0 ** (-age / half_life_s) for share, age in zip(share_L, ages, strict=True))
            )
        return encoded.vectors_BKD[0].tolist(), [mass / math.fsum(masses) for mass in masses]

    def scored(self, row: int, candidates: Sequence[int]) -> Scored:
        """What is said about one of the candidates."""
        scoring, query = self.pipeline.scoring, self.query
        log_popularity = float(self.pipeline.log_popularity_I[:][row])
        if len(query.history) == 0:
            return Scored(0.0, 0.0, log_popularity, 0.0, -1)
        spoken = []
        for interest, (vector_k, share) in enumerate(zip(*self.interests(), strict=True)):
            weight = scoring.beta * math.log(share)
            if scoring.mixture:
                weight -= log_sum([self.affinity(other, vector_k) for other in candidates])
            spoken.append((self.affinity(row, vector_k), weight, -interest))
        affinity, weight, speaker = max(spoken, key=lambda term: (term[0] + term[1], term[2]))
        if scoring.mixture:
            weight = log_sum([term[0] + term[1] for term in spoken]) - affinity
        own = sum(
            2.0 ** (-max(0.0, query.now_s - time_s) / scoring.own_half_life_s)
            for own_row, time_s in zip(query.history.row_N, query.history.time_s_N, strict=True)
            if own_row == row
        )
        frequency = scoring.delta * math.log1p(own) if query.include_seen else 0.0
        return Scored(affinity, weight, scoring.gamma * log_popularity, frequency, -speaker)

    def affinity(self, row: int, vector_k: Sequence[float]) -> float:
        vector = self.pipeline.item_vectors_ID[:][row].tolist()
        product = math.fsum(a * b for a, b in zip(vector, vector_k, strict=True))
        return product / self.pipeline.scoring.temperature

    def ranked(self, rows: Sequence[int]) -> list[tuple[int, Scored]]:
        """The best of these rows; equal scores go by row."""
        scored = [(row, self.scored(row, rows)) for row in rows]
        return sorted(scored, key=lambda pair: (-pair[1].score, pair[0]))[: self.query.limit]

    def sources(self) -> dict[int, Source]:
        """Every candidate with all of its sources."""
        allowed = self.allowed
        found: dict[int, Source] = {}
        if len(self.query.history) > 0:
            vectors, shares = self.interests()
            quota_K = quotas(np.log(shares), self.pipeline.scoring)
            for vector, quota in zip(np.array(vectors), quota_K, strict=True):
                product_I = self.pipeline.item_vectors_ID[:].astype(np.float64) @ vector
                for row in sorted(allowed, key=lambda row: (-product_I[row], row))[:quota]:
                    found[row] = Source.INTERESTS
        if self.query.include_seen:
            for row in set(self.query.history.row_N.tolist()) & set(allowed):
                found[row] = found.get(row, Source(0)) | Source.OWN_ITEMS
        popular = [int(row) for row in self.pipeline.popular_row_I[:] if row in allowed and row not in found]
        return found | dict.fromkeys(popular[: max(0, self.query.limit - len(found))], Source.POPULAR)


def log_sum(values: Sequence[float]) -> float:
    """Log of the sum of the exponentials, of numbers none of which is far from the largest."""
    peak = max(values)
    return peak + math.log(math.fsum(math.exp(value - peak) for value in values))


def assert_agrees(ranking: Ranking, expected: list[tuple[int, Scored]]) -> None:
    assert ranking.row_R.tolist() == [row for row, _ in expected]
    assert ranking.interest_R.tolist() == [scored.speaker for _, scored in expected]
    for name in ("affinity", "interest", "popularity", "frequency"):
        values = [getattr(scored, name) for _, scored in expected]
        np.testing.assert_allclose(getattr(ranking.terms, f"{name}_R"), values, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ranking.score_R, [scored.score for _, scored in expected], rtol=1e-9, atol=1e-9)


seeds = st.integers(0, 2**32 - 1)


@given(seed=seeds)
def test_with_room_for_every_item_the_answer_is_the_best_of_the_whole_catalogue(
    make_world: MakeWorld, seed: int
) -> None:
    pipeline, (query,) = make_world(seed)
    roomy = replace(pipeline.scoring, candidate_count=len(pipeline.half_life_s_K) * len(pipeline.item_vectors_ID))
    (ranking,) = replace(pipeline, scoring=roomy).recommend([query])
    oracle = Oracle(pipeline, query)
    rows = oracle.allowed if len(query.history) > 0 else [*oracle.sources()]
    assert_agrees(ranking, oracle.ranked(rows))


@given(seed=seeds)
def test_with_few_candidates_the_answer_is_the_best_of_them(make_world: MakeWorld, seed: int) -> None:
    pipeline, (query,) = make_world(seed)
    (ranking,) = pipeline.recommend([query])
    oracle = Oracle(pipeline, query)
    sources = oracle.sources()
    assert_agrees(ranking, oracle.ranked([*sources]))
    assert ranking.source_R.tolist() == [int(sources[row]) for row in ranking.row_R]
    assert ranking.removed["beyond_limit"] == len(sources) - len(ranking.row_R)


@given(seed=seeds)
def test_what_was_found_is_removed_for_a_reason_or_a_candidate(make_world: MakeWorld, seed: int) -> None:
    pipeline, (query,) = make_world(seed)
    item_count = len(pipeline.item_vectors_ID)
    query = replace(query, limit=item_count)
    (ranking,) = pipeline.recommend([query])
    if ranking.interests is None:
        assert ranking.removed == {"beyond_limit": 0}
        return
    oracle = Oracle(pipeline, query)
    searched = len(oracle.matching) if query.is_filtered else item_count
    blocked = searched - len(oracle.allowed)
    wanted = int(quotas(ranking.interests.log_share_K, pipeline.scoring).max())
    depth = min(searched, wanted + blocked)
    candidates = int((ranking.source_R & Source.INTERESTS > 0).sum())
    assert sum(ranking.removed.values()) + candidates == depth * len(pipeline.half_life_s_K)
    assert min(ranking.removed.values()) >= 0
    assert ranking.removed["blocked"] <= blocked * len(pipeline.half_life_s_K)


@given(seed=seeds)
def test_the_terms_of_a_score_add_up_to_it(make_world: MakeWorld, seed: int) -> None:
    pipeline, (query,) = make_world(seed)
    (ranking,) = pipeline.recommend([query])
    terms = ranking.terms
    total_R = terms.affinity_R + terms.interest_R + terms.popularity_R + terms.frequency_R
    np.testing.assert_array_equal(ranking.score_R, total_R)


@given(seed=seeds)
def test_nothing_blocked_comes_back_and_a_list_is_short_only_if_no_more_is_allowed(
    make_world: MakeWorld, seed: int
) -> None:
    pipeline, (query,) = make_world(seed)
    (ranking,) = pipeline.recommend([query])
    allowed = Oracle(pipeline, query).allowed
    assert len(set(ranking.row_R.tolist())) == len(ranking.row_R)
    assert set(ranking.row_R.tolist()) <= set(allowed)
    assert len(ranking.row_R) == min(query.limit, len(allowed))


@given(seed=seeds)
def test_an_answer_says_how_it_was_searched_for_and_how_many_items_there_were(make_world: MakeWorld, seed: int) -> None:
    pipeline, (query,) = make_world(seed)
    (ranking,) = pipeline.recommend([query])
    oracle = Oracle(pipeline, query)
    assert ranking.allowed_count == len(oracle.allowed)
    assert ranking.matching_count == (len(oracle.matching) if query.is_filtered else None)
    assert ranking.plan is (SearchPlan.SCAN if len(query.history) > 0 else None)


@given(seed=seeds)
def test_the_answer_rests_on_interests_where_there_is_a_history(make_world: MakeWorld, seed: int) -> None:
    pipeline, (query,) = make_world(seed)
    (ranking,) = pipeline.recommend([query])
    known = len(query.history) > 0
    assert ranking.basis is (Basis.INTERESTS if known else Basis.POPULARITY)
    assert (ranking.interests is not None) is known
    speakers: IntArray = ranking.interest_R
    assert (speakers >= 0).all() if known else (speakers == -1).all()


@given(seed=seeds)
def test_shares_of_the_interests_are_those_of_their_masses(make_world: MakeWorld, seed: int) -> None:
    pipeline, (query,) = make_world(seed)
    (interests,) = pipeline.interests([query])
    if len(query.history) == 0:
        assert interests is None
        return
    assert interests is not None
    assert interests.history.row_N.tolist() == query.history.row_N[-pipeline.max_history :].tolist()
    vectors, shares = Oracle(pipeline, query).interests()
    assert interests.vectors_KD.tolist() == vectors
    assert np.exp(interests.log_share_K).tolist() == pytest.approx(shares)
    np.testing.assert_allclose(interests.mass_K / interests.mass_K.sum(), shares)
