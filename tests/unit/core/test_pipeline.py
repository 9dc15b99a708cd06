"""What the pipeline promises beyond the score: batches, seen items, popular items, padding."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid_core.encoding import pad_histories
from unbraid_core.pipeline import STAGES, Pipeline
from unbraid_core.types import Basis, History, Interests, Query, Ranking, Scoring, Source
from unbraid_index.exact import ExactSearcher

if TYPE_CHECKING:
    from tests.unit.core.conftest import MakeWorld

NOW_S = 1.7e9
seeds = st.integers(0, 2**32 - 1)


def assert_same(one: Ranking, other: Ranking) -> None:
    for name in ("row_R", "score_R", "interest_R", "source_R"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("affinity_R", "interest_R", "popularity_R", "frequency_R"):
        np.testing.assert_array_equal(getattr(one.terms, name), getattr(other.terms, name))
    assert one.removed == other.removed
    assert one.basis is other.basis
    assert_same_interests(one.interests, other.interests)


def assert_same_interests(one: Interests | None, other: Interests | None) -> None:
    assert (one is None) is (other is None)
    if one is not None and other is not None:
        for name in ("vectors_KD", "assignment_KL", "mass_K", "log_share_K"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@given(seed=seeds, query_count=st.integers(2, 7))
def test_answers_in_a_batch_equal_single_answers(make_world: MakeWorld, seed: int, query_count: int) -> None:
    pipeline, queries = make_world(seed, query_count)
    together = pipeline.recommend(queries)
    assert len(together) == query_count
    for query, ranking in zip(queries, together, strict=True):
        assert_same(ranking, pipeline.recommend([query])[0])
    for query, interests in zip(queries, pipeline.interests(queries), strict=True):
        assert_same_interests(interests, pipeline.interests([query])[0])


@given(seed=seeds)
def test_the_interests_of_an_answer_are_those_that_are_asked_for_alone(make_world: MakeWorld, seed: int) -> None:
    pipeline, (query,) = make_world(seed)
    assert_same_interests(pipeline.recommend([query])[0].interests, pipeline.interests([query])[0])


@given(seed=seeds)
def test_who_watches_is_told_every_stage_and_changes_nothing(make_world: MakeWorld, seed: int) -> None:
    pipeline, queries = make_world(seed, 3)
    told: list[str] = []
    for watched, unwatched in zip(pipeline.recommend(queries, told.append), pipeline.recommend(queries), strict=True):
        assert_same(watched, unwatched)
    assert told == list(STAGES)


@pytest.mark.parametrize("event_count", [0, 12])
def test_who_blocks_many_rows_gets_what_the_list_of_the_others_gives(make_world: MakeWorld, event_count: int) -> None:
    small, _ = make_world(3)
    count, copies = len(small.item_vectors_ID), 600 // len(small.item_vectors_ID) + 1
    item_vectors_ID = np.tile(small.item_vectors_ID[:], (copies, 1))
    log_popularity_I = np.tile(small.log_popularity_I[:], copies)
    pipeline = replace(
        small,
        searcher=ExactSearcher(item_vectors_ID),
        item_vectors_ID=item_vectors_ID,
        log_popularity_I=log_popularity_I,
        popular_row_I=np.argsort(-log_popularity_I, kind="stable"),
    )
    history = History(
        np.arange(event_count) % count, NOW_S - np.arange(12.0)[:event_count], np.zeros(event_count, np.int64)
    )
    blocked_row_X, other_row_A = np.arange(400), np.arange(400, len(item_vectors_ID))
    blocking, listing = pipeline.recommend(
        [
            Query(history, NOW_S, 20, include_seen=True, excluded_row_X=blocked_row_X),
            Query(history, NOW_S, 20, include_seen=True, allowed_row_A=other_row_A),
        ]
    )
    assert len(blocking.row_R) == 20
    assert_same(blocking, listing)
    assert blocking.allowed_count == listing.allowed_count == listing.matching_count == len(other_row_A)
    assert blocking.matching_count is None


def test_no_query_no_answer(make_world: MakeWorld) -> None:
    pipeline, _ = make_world(1)
    assert pipeline.recommend([]) == []
    assert pipeline.interests([]) == []


def test_the_stages_in_their_order() -> None:
    found = ["interests", "neighbours", "factors", "own items", "popular", "listed"]
    assert list(STAGES) == ["block", "encode", *found, "score", "describe", "rank", "calibrate", "select"]


@pytest.fixture
def pipeline(make_world: MakeWorld) -> Pipeline:
    """Twelve items, most popular first, and two candidates for each interest."""
    world, _ = make_world(5)
    vectors_ID = np.tile(np.eye(8, dtype=np.float32), (2, 1))[:12]
    numbers = Scoring(0.1, beta=1.0, gamma=0.0, delta=0.0, own_half_life_s=1.0, popularity_half_life_s=1.0)
    return replace(
        world,
        searcher=ExactSearcher(vectors_ID),
        item_vectors_ID=vectors_ID,
        log_popularity_I=-np.arange(1, 13, dtype=np.float32),
        popular_row_I=np.arange(12),
        scoring=replace(numbers, candidate_count=1, quota_min=2),
        max_history=3,
    )


def events(*rows: int, until_s: float = NOW_S) -> History:
    """One event a minute, the last one at ``until_s``."""
    time_s_N = until_s - 60.0 * np.arange(len(rows), dtype=np.float64)[::-1]
    return History(np.array(rows, np.int64), time_s_N, np.zeros(len(rows), np.int64))


def test_nobody_knows_this_user_popular_items_it_is(pipeline: Pipeline) -> None:
    (ranking,) = pipeline.recommend([Query(History.empty(), NOW_S, 4, excluded_row_X=np.array([1, 1, 2]))])
    assert ranking.basis is Basis.POPULARITY
    assert ranking.interests is None
    assert ranking.row_R.tolist() == [0, 3, 4, 5]
    assert set(ranking.source_R.tolist()) == {Source.POPULAR}
    assert ranking.score_R.tolist() == [-1.0, -4.0, -5.0, -6.0]


def test_popular_items_fill_up_what_interests_do_not_find(pipeline: Pipeline) -> None:
    (ranking,) = pipeline.recommend([Query(events(9), NOW_S, 8)])
    assert len(ranking.row_R) == 8
    assert 9 not in ranking.row_R
    popular = ranking.row_R[ranking.source_R == Source.POPULAR]
    found = ranking.row_R[ranking.source_R == Source.INTERESTS]
    assert len(popular) + len(found) == 8
    expected = [row for row in range(12) if row != 9 and row not in found]
    assert sorted(popular.tolist()) == expected[: len(popular)]
    assert (ranking.interest_R >= 0).all(), "fillers have a score and a speaker like every candidate"


def test_no_popular_item_comes_in_where_interests_find_enough(pipeline: Pipeline) -> None:
    roomy = replace(pipeline, scoring=replace(pipeline.scoring, quota_min=12))
    (ranking,) = roomy.recommend([Query(events(9), NOW_S, 8)])
    assert set(ranking.source_R.tolist()) == {Source.INTERESTS}


def test_own_items_return_only_when_asked_for_all_of_them_and_however_old(pipeline: Pipeline) -> None:
    history = events(7, 11, 0, 3, 3, 5)
    (fresh,) = pipeline.recommend([Query(history, NOW_S, 12)])
    assert not set(fresh.row_R.tolist()) & {7, 11, 0, 3, 5}
    (again,) = pipeline.recommend([Query(history, NOW_S, 12, include_seen=True)])
    own = again.row_R[again.source_R & Source.OWN_ITEMS > 0]
    assert sorted(own.tolist()) == [0, 3, 5, 7, 11]


def test_an_excluded_own_item_stays_out(pipeline: Pipeline) -> None:
    query = Query(events(7, 3), NOW_S, 12, include_seen=True, excluded_row_X=np.array([3]))
    (ranking,) = pipeline.recommend([query])
    assert 3 not in ranking.row_R
    assert 7 in ranking.row_R


def test_a_list_is_empty_where_nothing_is_allowed(pipeline: Pipeline) -> None:
    for history in (History.empty(), events(2)):
        (ranking,) = pipeline.recommend([Query(history, NOW_S, 5, excluded_row_X=np.arange(12))])
        assert ranking.row_R.tolist() == []
        assert ranking.score_R.tolist() == []


@given(seed=seeds)
def test_what_a_query_brings_is_ranked_alike_when_it_is_listed(make_world: MakeWorld, seed: int) -> None:
    """Their scores are those among all candidates: with others beside them, or with none, they would be different."""
    pipeline, (query,) = make_world(seed)
    (answer,) = pipeline.recommend([query])
    listed_row_U = np.random.default_rng(seed).permutation(answer.row_R)
    (ranked,) = pipeline.recommend([replace(query, listed_row_U=listed_row_U)])
    for name in ("row_R", "score_R", "interest_R", "source_R"):
        np.testing.assert_array_equal(getattr(ranked, name), getattr(answer, name))
    np.testing.assert_array_equal(ranked.terms.total(), answer.terms.total())


def test_listed_items_come_back_seen_and_excluded_ones_among_them_and_no_others(pipeline: Pipeline) -> None:
    listed_row_U = np.array([4, 8, 2, 11])
    query = Query(events(2, 4), NOW_S, 4, excluded_row_X=np.array([8]), listed_row_U=listed_row_U)
    (ranked,) = pipeline.recommend([query])
    assert sorted(ranked.row_R.tolist()) == [2, 4, 8, 11]
    assert (np.diff(ranked.score_R) <= 0).all()
    assert ranked.source_R[ranked.row_R == 8].tolist() == [0]
    (popular,) = pipeline.recommend([replace(query, history=History.empty())])
    assert popular.row_R.tolist() == [2, 4, 8, 11]


def test_equal_scores_go_by_row(pipeline: Pipeline) -> None:
    even = replace(pipeline, scoring=replace(pipeline.scoring, quota_min=12), log_popularity_I=np.zeros(12, np.float32))
    (ranking,) = even.recommend([Query(events(1), NOW_S, 12, include_seen=True)])
    # Rows 1 and 9 are the same vector, the one that all interests point to; the other ten are orthogonal to it.
    assert ranking.row_R.tolist() == [1, 9, 0, 2, 3, 4, 5, 6, 7, 8, 10, 11]


def test_only_the_newest_events_are_encoded_and_all_of_them_are_seen(pipeline: Pipeline) -> None:
    (ranking,) = pipeline.recommend([Query(events(8, 1, 2, 3), NOW_S, 12)])
    assert ranking.interests is not None
    assert ranking.interests.history.row_N.tolist() == [1, 2, 3]
    assert 8 not in ranking.row_R


def test_shares_move_with_the_clock_and_vectors_do_not(pipeline: Pipeline) -> None:
    history = events(1, 2, 3)
    now, later = pipeline.interests([Query(history, NOW_S, 1), Query(history, NOW_S + 90 * 86_400.0, 1)])
    assert now is not None
    assert later is not None
    np.testing.assert_array_equal(now.vectors_KD, later.vectors_KD)
    np.testing.assert_array_equal(now.assignment_KL, later.assignment_KL)
    assert (later.mass_K < now.mass_K).all()
    slowest = int(np.argmax(pipeline.half_life_s_K))
    assert later.log_share_K[slowest] > now.log_share_K[slowest]


def test_shares_stay_finite_for_somebody_who_comes_back_after_decades(pipeline: Pipeline) -> None:
    (ranking,) = pipeline.recommend([Query(events(1, 2, until_s=NOW_S - 1.5e9), NOW_S, 5)])
    assert ranking.interests is not None
    assert np.exp(ranking.interests.log_share_K).sum() == pytest.approx(1.0)
    assert np.isfinite(ranking.score_R).all()
    assert len(ranking.row_R) == 5


@given(seed=seeds, lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_padding_puts_every_event_in_its_place(make_world: MakeWorld, seed: int, lengths: list[int]) -> None:
    pipeline, _ = make_world(seed)
    rng = np.random.default_rng(seed)
    histories = [
        History(
            rng.integers(0, len(pipeline.item_vectors_ID), length),
            np.sort(NOW_S - rng.integers(0, 10**6, length)).astype(np.float64),
            rng.integers(0, 3, length),
        )
        for length in lengths
    ]
    batch = pad_histories(histories, pipeline.item_vectors_ID)
    assert batch.mask_BL.shape == (len(lengths), max(lengths))
    assert [array.dtype for array in (batch.item_vectors_BLD, batch.age_s_BL, batch.action_BL, batch.mask_BL)] == [
        np.float32,
        np.float32,
        np.int64,
        np.bool_,
    ]
    for b, history in enumerate(histories):
        assert batch.mask_BL[b].tolist() == [True] * len(history) + [False] * (max(lengths) - len(history))
        for event in range(len(history)):
            np.testing.assert_array_equal(
                batch.item_vectors_BLD[b, event], pipeline.item_vectors_ID[history.row_N[event]]
            )
            assert batch.age_s_BL[b, event] == history.time_s_N[-1] - history.time_s_N[event]
            assert batch.action_BL[b, event] == history.action_N[event]
        for padded in (batch.item_vectors_BLD, batch.age_s_BL, batch.action_BL):
            assert not padded[b, len(history) :].any()
