"""Filters that come again: their rows are coded, and searched by their codes as well as by comparing with all."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faiss
import numpy as np
import pytest

from unbraid_core.item_vectors import CompactVectors, compact
from unbraid_core.release import FilterCodes
from unbraid_core.types import BoolArray, FloatArray, Precision, SearchPlan
from unbraid_index.exact import ExactSearcher
from unbraid_index.faiss_searcher import FaissSearcher
from unbraid_index.family import family_named
from unbraid_index.filter_cases import FilterCases
from unbraid_index.filter_codes import measure_filter_codes
from unbraid_index.making import IndexMaker
from unbraid_index.progress import unwatched
from unbraid_index.recurring_filters import CODED_AT, RecurringFilters
from unbraid_index.row_codes import RowCodes

SIZE, DIMENSION, COUNT = 6_000, 32, 20
CODES = FilterCodes(shortlist_percent=200, least_rows=1_000, call_ns=1.0, row_ns=0.1)

MakeVectors = Callable[..., FloatArray]


@pytest.fixture(scope="module")
def item_vectors_ID(unit_vectors: MakeVectors) -> FloatArray:
    return unit_vectors(SIZE, DIMENSION, seed=0)


@pytest.fixture(scope="module")
def query_QD(unit_vectors: MakeVectors) -> FloatArray:
    return unit_vectors(16, DIMENSION, seed=1)


@pytest.fixture
def searcher(item_vectors_ID: FloatArray, tmp_path: Path) -> FaissSearcher:
    path = tmp_path / "index.faiss"
    faiss.write_index(IndexMaker(item_vectors_ID, 0, unwatched).make(family_named("flat")), str(path))
    return FaissSearcher.open(path, "flat", {}, item_vectors_ID, None, CODES)


def at_random(share: float, seed: int = 2) -> BoolArray:
    return np.random.default_rng(seed).random(SIZE) < share


def make_recurring(searcher: FaissSearcher, query_QD: FloatArray, allowed_I: BoolArray) -> None:
    for _ in range(CODED_AT - 1):
        assert searcher.search(query_QD, COUNT, allowed_I).plan is SearchPlan.SCAN


def test_a_filter_that_comes_again_is_searched_by_codes_and_finds_as_much(
    searcher: FaissSearcher, item_vectors_ID: FloatArray, query_QD: FloatArray
) -> None:
    allowed_I = at_random(0.4)
    make_recurring(searcher, query_QD, allowed_I)
    hits = searcher.search(query_QD, COUNT, allowed_I)
    exact = ExactSearcher(item_vectors_ID).search(query_QD, COUNT, allowed_I)
    assert hits.plan is SearchPlan.CODES
    assert allowed_I[hits.row_QC].all()
    np.testing.assert_allclose(
        hits.score_QC, np.einsum("qd,qcd->qc", query_QD, item_vectors_ID[hits.row_QC]), atol=1e-6
    )
    assert (hits.score_QC >= exact.score_QC[:, -1:] - 1e-6).mean() >= 0.98


def test_rows_that_codes_cannot_tell_apart_are_compared_with(
    searcher: FaissSearcher, item_vectors_ID: FloatArray, query_QD: FloatArray
) -> None:
    """What is allowed ends where the query begins to like it: the best rows are all about as good."""
    nearness_I = item_vectors_ID @ query_QD[0]
    allowed_I = nearness_I < np.median(nearness_I)
    make_recurring(searcher, query_QD[:1], allowed_I)
    hits = searcher.search(query_QD[:1], COUNT, allowed_I)
    assert hits.plan is SearchPlan.CODES
    expected = ExactSearcher(item_vectors_ID).search(query_QD[:1], COUNT, allowed_I)
    np.testing.assert_array_equal(hits.row_QC, expected.row_QC)


def test_a_filter_that_allows_little_is_never_coded(searcher: FaissSearcher, query_QD: FloatArray) -> None:
    allowed_I = at_random(0.1)
    make_recurring(searcher, query_QD, allowed_I)
    assert searcher.search(query_QD, COUNT, allowed_I).plan is SearchPlan.SCAN


def test_filters_are_told_apart(searcher: FaissSearcher, query_QD: FloatArray) -> None:
    for seed in range(2 * CODED_AT):
        assert searcher.search(query_QD, COUNT, at_random(0.4, seed)).plan is SearchPlan.SCAN


def test_the_least_recently_used_codes_are_dropped_and_made_anew(item_vectors_ID: FloatArray) -> None:
    room_for_two = 2 * RowCodes.of(item_vectors_ID, np.arange(SIZE // 2)).size_bytes
    recurring = RecurringFilters(item_vectors_ID, least_rows=1, budget_bytes=room_for_two)
    masks = [np.roll(np.arange(SIZE) < SIZE // 2, shift) for shift in range(3)]

    def calls_until_coded(allowed_I: BoolArray) -> int:
        return next(calls for calls in range(1, 100) if recurring.codes(allowed_I, SIZE // 2) is not None)

    assert [calls_until_coded(masks[0]), calls_until_coded(masks[1])] == [CODED_AT, CODED_AT]
    assert calls_until_coded(masks[0]) == 1
    assert calls_until_coded(masks[2]) == CODED_AT
    assert calls_until_coded(masks[0]) == 1
    assert calls_until_coded(masks[1]) == CODED_AT


def test_threads_that_bring_the_same_filter_get_the_same_answers(
    searcher: FaissSearcher, item_vectors_ID: FloatArray, query_QD: FloatArray
) -> None:
    allowed_I = at_random(0.4)
    lowest_Q = ExactSearcher(item_vectors_ID).search(query_QD, COUNT, allowed_I).score_QC[:, -1]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: searcher.search(query_QD, COUNT, allowed_I), range(40)))
    for hits in answers:
        assert allowed_I[hits.row_QC].all()
        assert (hits.score_QC >= lowest_Q[:, None] - 1e-6).mean() >= 0.98
    assert searcher.search(query_QD, COUNT, allowed_I).plan is SearchPlan.CODES


@pytest.mark.parametrize("dimension", [1, 7, 33])
@pytest.mark.parametrize("precision", [None, Precision.INT8])
def test_any_dimension_and_precision_can_be_coded(
    unit_vectors: MakeVectors, dimension: int, precision: Precision | None
) -> None:
    whole_ID, query_QD = unit_vectors(500, dimension, seed=3), unit_vectors(5, dimension, seed=4)
    vectors_ID = whole_ID if precision is None else CompactVectors(compact(whole_ID, precision))
    hits = RowCodes.of(vectors_ID, np.arange(0, 500, 2)).search(vectors_ID, query_QD, COUNT, 300)
    exact = ExactSearcher(vectors_ID).search(query_QD, COUNT, np.arange(500) % 2 == 0)
    found_Q = (hits.score_QC >= exact.score_QC[:, -1:] - 1e-6).mean(axis=1)
    assert (found_Q[hits.sure_Q] >= 0.95).all()
    assert (hits.row_QC % 2 == 0).all()


def test_where_comparing_with_everything_is_quick_there_are_no_codes(unit_vectors: MakeVectors) -> None:
    item_vectors_ID, query_QD = unit_vectors(600, 16, seed=5), unit_vectors(100, 16, seed=6)
    cases = FilterCases.of(item_vectors_ID, query_QD, queries_per_call=4, count=COUNT, seed=0, on_progress=unwatched)
    assert cases is not None
    assert measure_filter_codes(item_vectors_ID, cases, 0.99) is None
