"""Measuring what a search among allowed rows costs on an index, and how much may be left out."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import faiss
import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.release import FilterCosts
from unbraid_core.types import BoolArray, FloatArray
from unbraid_index.lists import RowLists
from unbraid_index.planner import LEAST_SHARE, FilterPlanner
from unbraid_index.progress import OnProgress
from unbraid_index.recall import SAME_SCORE
from unbraid_index.scan import scan
from unbraid_index.surroundings import Surroundings

__all__ = ["measure_filter_costs"]

LEAST_CALLS = 10
MOST_CALLS = 24
OWN_FILTERS = 8
SHARES = (0.5, 0.2, LEAST_SHARE)
USUAL = "0.5 at random"
MISSED_SHARES = [0.32 / 2 ** (halvings / 2) for halvings in range(16)]
BLOCK = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """A filter, some calls, and the lowest of the exact scores of their queries among the rows that it allows."""

    allowed_I: BoolArray
    query_BQD: FloatArray
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
    """The costs of an index with lists; None where it has none, or where they save nothing.

    Filters allow 50%, 20% or a twelfth of the rows: at random, and those nearest to and farthest from an item or a
    query. Every kind of filter has to reach the target.

    Args:
        index: over the vectors.
        item_vectors_ID: of the catalogue.
        query_QD: unit vectors; at least 10 calls are needed, and 24 are used at most.
        queries_per_call: how many queries a call searches at once.
        count: how many rows a query wants.
        recall_target: mean share of the exact rows that has to be found.
        seed: of the filters.
        on_progress: told about every filter.
    """
    lists, call_count = RowLists.of(index, item_vectors_ID), min(len(query_QD) // queries_per_call, MOST_CALLS)
    if lists is None or call_count < LEAST_CALLS:
        return None
    query_BQD = query_QD[: call_count * queries_per_call].reshape(call_count, queries_per_call, -1)
    kinds = _kinds(item_vectors_ID, query_BQD, count, seed, on_progress)
    [usual] = kinds[USUAL]
    costs = _timed(lists, item_vectors_ID, usual, count)
    for missed_share in MISSED_SHARES:
        trial = costs.model_copy(update={"missed_share": missed_share})
        usual_ns = _usual_ns(FilterPlanner(item_vectors_ID, lists, trial), usual, count)
        if usual_ns >= costs.scan_ns(int(np.count_nonzero(usual.allowed_I))):
            return None
        trial = trial.model_copy(update={"usual_ns": usual_ns})
        planner = FilterPlanner(item_vectors_ID, lists, trial)
        if all(_recall(planner, cases, count) >= recall_target for cases in kinds.values()):
            return trial
    return None


def _kinds(
    item_vectors_ID: ItemVectors, query_BQD: FloatArray, count: int, seed: int, on_progress: OnProgress
) -> dict[str, list[_Case]]:
    kinds: dict[str, list[_Case]] = {}
    for done, (kind, allowed_I, calls) in enumerate(_filters(item_vectors_ID, query_BQD, seed), 1):
        row_A = np.flatnonzero(allowed_I)
        lowest_BQ = [scan(item_vectors_ID, row_A, query_QD, count)[1][:, -1] for query_QD in query_BQD[calls]]
        kinds.setdefault(kind, []).append(_Case(allowed_I, query_BQD[calls], np.array(lowest_BQ)))
        on_progress("measuring filters", done, len(SHARES) * (3 + 2 * OWN_FILTERS))
    return kinds


def _filters(item_vectors_ID: ItemVectors, query_BQD: FloatArray, seed: int) -> Iterator[tuple[str, BoolArray, slice]]:
    """Kind, allowed rows, and the calls to make with them; of those around a query only its own."""
    rng = np.random.default_rng(seed)
    item_D = item_vectors_ID[rng.integers(len(item_vectors_ID), size=1)][0]
    for share in SHARES:
        yield f"{share} at random", rng.random(len(item_vectors_ID)) < share, slice(None)
        for kind, allowed_I in _around(item_vectors_ID, item_D, share):
            yield f"{kind} an item", allowed_I, slice(None)
        for call, query_QD in enumerate(query_BQD[:OWN_FILTERS]):
            for kind, allowed_I in _around(item_vectors_ID, query_QD[0], share):
                yield f"{kind} a query", allowed_I, slice(call, call + 1)


def _around(item_vectors_ID: ItemVectors, vector_D: FloatArray, share: float) -> Iterator[tuple[str, BoolArray]]:
    """In blocks, so that compact vectors are never widened as a whole."""
    starts = range(0, len(item_vectors_ID), BLOCK)
    nearness_I = np.concatenate([item_vectors_ID[start : start + BLOCK] @ vector_D for start in starts])
    yield f"{share} near", nearness_I > np.quantile(nearness_I, 1.0 - share)
    yield f"{share} far from", nearness_I < np.quantile(nearness_I, share)


def _recall(planner: FilterPlanner, cases: list[_Case], count: int) -> float:
    found = [
        (planner.search(query_QD, count, case.allowed_I).score_QC >= lowest_score_Q[:, None] - SAME_SCORE).mean()
        for case in cases
        for query_QD, lowest_score_Q in zip(case.query_BQD, case.lowest_score_BQ, strict=True)
    ]
    return float(np.mean(found))


def _timed(lists: RowLists, item_vectors_ID: ItemVectors, usual: _Case, count: int) -> FilterCosts:
    """Medians of the steps; with the largest share that may be missed."""
    row_A, query_BQD = np.flatnonzero(usual.allowed_I), usual.query_BQD
    around = [Surroundings.of(lists, query_QD, usual.allowed_I) for query_QD in query_BQD]
    nearest = [each.nearest(len(row_A) // 10) for each in around]
    listed = [each.listed_count(chosen_L) for each, chosen_L in zip(around, nearest, strict=True)]
    listing_ns = _median_ns(len(around), lambda b: around[b].rows(nearest[b]))
    scanning_ns = _median_ns(LEAST_CALLS, lambda b: scan(item_vectors_ID, row_A, query_BQD[b], count))
    return FilterCosts(
        missed_share=MISSED_SHARES[0],
        spread_factor=_spread_factor(lists, item_vectors_ID, query_BQD),
        usual_ns=0.0,
        listed_row_ns=listing_ns / statistics.median(listed),
        scanned_row_ns=scanning_ns / len(row_A),
    )


def _usual_ns(planner: FilterPlanner, usual: _Case, count: int) -> float:
    return _median_ns(len(usual.query_BQD), lambda b: planner.search(usual.query_BQD[b], count, usual.allowed_I))


def _spread_factor(lists: RowLists, item_vectors_ID: ItemVectors, query_BQD: FloatArray) -> float:
    """How much wider the inner products of real queries are spread than those of a vector of any direction."""
    query_ND = query_BQD.reshape(-1, query_BQD.shape[2])
    score_NL = query_ND @ item_vectors_ID[lists.sample_row_LS[:, 0]].T
    deviation_NL = (score_NL - query_ND @ lists.centre_LD.T) / lists.spread_L
    return float(deviation_NL[:, lists.size_L > 0].std())


def _median_ns(count: int, step: Callable[[int], object]) -> float:
    """Of the time that the thread was at work: on a busy machine the clock goes on while it waits for its turn."""
    elapsed_ns = []
    for number in range(count):
        started_ns = time.thread_time_ns()
        step(number)
        elapsed_ns.append(time.thread_time_ns() - started_ns)
    return statistics.median(elapsed_ns)
