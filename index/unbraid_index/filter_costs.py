"""Measuring what a search among allowed rows costs on an index, and how far around a query it has to look."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import faiss
import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.release import FilterCosts
from unbraid_core.types import BoolArray, FloatArray, IntArray
from unbraid_index.lists import RowLists
from unbraid_index.progress import OnProgress
from unbraid_index.recall import SAME_SCORE
from unbraid_index.scan import scan

__all__ = ["measure_filter_costs"]

ALLOWED_SHARES = (0.5, 0.25)
LEAST_CALLS = 10
MOST_CALLS = 40
STEP = math.sqrt(2.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """A filter, and the lowest of the exact scores of every query among the rows that it allows."""

    allowed_I: BoolArray
    lowest_score_BQ: FloatArray


def measure_filter_costs(
    index: faiss.Index,
    item_vectors_ID: ItemVectors,
    query_QD: FloatArray,
    *,
    queries_per_call: int,
    count: int,
    recall_target: float,
    seed: int,
    on_progress: OnProgress,
) -> FilterCosts | None:
    """The costs of an index with lists; None where it has no lists, or where lists do not save half of the rows.

    Filters allow a half and a quarter of the rows: at random, those nearest to an item, and those farthest from it. The
    rows around a query are as many as the hardest of these needs.

    Args:
        index: over the vectors.
        item_vectors_ID: of the catalogue.
        query_QD: unit vectors; at least 10 calls are needed, and 40 are used at most.
        queries_per_call: how many queries a call searches at once.
        count: how many rows a query wants.
        recall_target: mean share of the exact rows that has to be found.
        seed: of the filters.
        on_progress: told about every filter.
    """
    lists, call_count = RowLists.of(index), min(len(query_QD) // queries_per_call, MOST_CALLS)
    if lists is None or call_count < LEAST_CALLS:
        return None
    query_BQD = query_QD[: call_count * queries_per_call].reshape(call_count, queries_per_call, -1)
    rows_per_query, cases = count, list(_cases(item_vectors_ID, query_BQD, count, seed, on_progress))
    for case in cases:
        while _recall(lists, item_vectors_ID, query_BQD, case, rows_per_query, count) < recall_target:
            rows_per_query = math.ceil(rows_per_query * STEP)
            if rows_per_query * queries_per_call > len(item_vectors_ID) / 2:
                return None
    return _timed(lists, item_vectors_ID, query_BQD, cases[0].allowed_I, rows_per_query, count)


def _cases(
    item_vectors_ID: ItemVectors, query_BQD: FloatArray, count: int, seed: int, on_progress: OnProgress
) -> Iterator[_Case]:
    masks = list(_masks(item_vectors_ID, seed))
    for done, allowed_I in enumerate(masks, 1):
        row_A = np.flatnonzero(allowed_I)
        lowest_BQ = [scan(item_vectors_ID, row_A, query_QD, count)[1][:, -1] for query_QD in query_BQD]
        on_progress("measuring filters", done, len(masks))
        yield _Case(allowed_I, np.array(lowest_BQ))


def _masks(item_vectors_ID: ItemVectors, seed: int) -> Iterator[BoolArray]:
    rng = np.random.default_rng(seed)
    item_count = len(item_vectors_ID)
    for share in ALLOWED_SHARES:
        yield rng.random(item_count) < share
        anchor = rng.integers(item_count, size=1)
        nearness_I = _nearness(item_vectors_ID, item_vectors_ID[anchor][0])
        yield nearness_I > np.quantile(nearness_I, 1.0 - share)
        yield nearness_I < np.quantile(nearness_I, share)


def _nearness(item_vectors_ID: ItemVectors, vector_D: FloatArray) -> FloatArray:
    """Inner products with all items; in blocks, so that compact vectors are never widened as a whole."""
    blocks = [item_vectors_ID[start : start + 65_536] @ vector_D for start in range(0, len(item_vectors_ID), 65_536)]
    return np.concatenate(blocks)


def _recall(
    lists: RowLists,
    item_vectors_ID: ItemVectors,
    query_BQD: FloatArray,
    case: _Case,
    rows_per_query: int,
    count: int,
) -> float:
    found = []
    for query_QD, lowest_score_Q in zip(query_BQD, case.lowest_score_BQ, strict=True):
        row_A = _rows_around(lists, query_QD, case.allowed_I, rows_per_query)
        _, score_QC = scan(item_vectors_ID, row_A, query_QD, count)
        found.append((score_QC >= lowest_score_Q[:, None] - SAME_SCORE).sum() / (count * len(query_QD)))
    return float(np.mean(found))


def _rows_around(lists: RowLists, query_QD: FloatArray, allowed_I: BoolArray, rows_per_query: int) -> IntArray:
    return lists.allowed_rows(lists.around(query_QD, allowed_I, rows_per_query).list_U, allowed_I)


def _timed(
    lists: RowLists,
    item_vectors_ID: ItemVectors,
    query_BQD: FloatArray,
    allowed_I: BoolArray,
    rows_per_query: int,
    count: int,
) -> FilterCosts:
    """Medians of each step; the lists of all calls together stand for the rows of a call."""
    around = [lists.around(query_QD, allowed_I, rows_per_query) for query_QD in query_BQD]
    rows = [lists.allowed_rows(near.list_U, allowed_I) for near in around]
    choosing_ns = _median_ns(len(around), lambda b: lists.around(query_BQD[b], allowed_I, rows_per_query))
    listing_ns = _median_ns(len(around), lambda b: lists.allowed_rows(around[b].list_U, allowed_I))
    scanning_ns = _median_ns(len(around), lambda b: scan(item_vectors_ID, rows[b], query_BQD[b], count))
    return FilterCosts(
        count=count,
        rows_per_query=rows_per_query,
        choosing_ns=choosing_ns,
        listed_row_ns=listing_ns / statistics.median(near.listed_count for near in around),
        scanned_row_ns=scanning_ns / statistics.median(len(row_A) for row_A in rows),
    )


def _median_ns(count: int, step: Callable[[int], object]) -> float:
    elapsed_ns = []
    for number in range(count):
        started_ns = time.perf_counter_ns()
        step(number)
        elapsed_ns.append(time.perf_counter_ns() - started_ns)
    return statistics.median(elapsed_ns)
