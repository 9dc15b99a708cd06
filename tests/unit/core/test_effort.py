"""Answers of reduced effort: made of less, and of nothing that a full one is not made of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.test_pipeline import assert_same

from unbraid_core.effort import reduced_depth, searched_interests
from unbraid_core.scoring import quotas
from unbraid_core.types import Basis, Effort, History, Profile, Query
from unbraid_server.model import Model

if TYPE_CHECKING:
    from tests.unit.core.conftest import MakeWorld

NOW_S = 1_767_500_000.0
seeds = st.integers(0, 2**32 - 1)


def reduced(query: Query) -> Query:
    return replace(query, effort=Effort.REDUCED)


@given(seed=seeds)
def test_candidates_are_what_the_more_alive_interests_bring(make_world: MakeWorld, seed: int) -> None:
    pipeline, (query,) = make_world(seed)
    query = replace(query, filter=None, allowed_row_A=None)
    [interests] = pipeline.interests([query])
    expected: set[int] = set()
    if interests is not None:
        blocked = set(query.excluded_row_X.tolist()) | (set() if query.include_seen else set(query.history.row_N))
        quota_K = quotas(interests.log_share_K, pipeline.scoring)
        brought = 0
        for place, k in enumerate(np.argsort(-interests.log_share_K, kind="stable")):
            if 2 * place >= len(quota_K) and brought >= query.limit:
                break
            brought += quota_K[k]
            score_I = pipeline.item_vectors_ID[:] @ interests.vectors_KD[k]
            best = [row for row in np.argsort(-score_I, kind="stable").tolist() if row not in blocked]
            expected.update(best[: quota_K[k]])
    assert pipeline.found_by_interests([reduced(query)])[0].tolist() == sorted(expected)


@given(seed=seeds, query_count=st.integers(2, 5))
def test_efforts_meet_in_a_batch_and_change_nothing(make_world: MakeWorld, seed: int, query_count: int) -> None:
    pipeline, queries = make_world(seed, query_count)
    mixed = [reduced(query) if number % 2 else query for number, query in enumerate(queries)]
    for query, ranking in zip(mixed, pipeline.recommend(mixed), strict=True):
        assert_same(ranking, pipeline.recommend([query])[0])
        assert ranking.effort is (Effort.FULL if ranking.basis is Basis.POPULARITY else query.effort)


@given(seed=seeds)
def test_listed_rows_are_scored_among_all_candidates(make_world: MakeWorld, seed: int) -> None:
    pipeline, (query,) = make_world(seed)
    row_count = len(pipeline.item_vectors_ID)
    listing = replace(query, filter=None, allowed_row_A=None, listed_row_U=np.arange(row_count), limit=row_count)
    full, hurried = pipeline.recommend([listing, reduced(listing)])
    assert_same(full, hurried)
    assert hurried.effort is Effort.FULL


def test_the_ranker_sees_fewer_of_the_same_candidates(model_learned: Model) -> None:
    times_s = NOW_S - np.array([3e6, 2e6, 1e6])
    query = Query(
        History(np.array([0, 5, 17]), times_s, np.zeros(3, np.int64)), NOW_S, limit=1, profile=Profile.LEARNED
    )
    pipeline = model_learned.pipeline
    full, less = pipeline.features([query, reduced(query)])
    assert 0 < len(less.row_C) < len(full.row_C)
    assert set(less.row_C.tolist()) <= set(full.row_C.tolist())


@pytest.mark.parametrize(
    ("limit", "expected"), [(1, [0, 3]), (30, [0, 3]), (31, [0, 1, 3]), (60, [0, 1, 2, 3]), (500, [0, 1, 2, 3])]
)
def test_as_many_interests_are_searched_for_as_a_list_needs(limit: int, expected: list[int]) -> None:
    log_share_K, quota_K = np.log([0.4, 0.2, 0.1, 0.3]), np.array([20, 10, 10, 10])
    assert searched_interests(log_share_K, quota_K, limit).tolist() == expected


def test_of_an_odd_number_of_interests_the_larger_half_is_searched_for() -> None:
    assert searched_interests(np.log([0.2, 0.3, 0.5]), np.full(3, 9), limit=1).tolist() == [1, 2]
    assert searched_interests(np.zeros(1), np.array([9]), limit=1).tolist() == [0]


def test_the_depth_is_a_third_but_enough_for_the_list() -> None:
    assert [reduced_depth(150, limit) for limit in (20, 80, 500)] == [50, 80, 150]
