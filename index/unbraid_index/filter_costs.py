"""Measuring what a search among allowed rows costs in the lists of an index, and how much may be left out."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import faiss
import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.release import FilterCosts
from unbraid_core.types import FloatArray
from unbraid_index.filter_cases import FilterCase, FilterCases, median_ns
from unbraid_index.lists import RowLists
from unbraid_index.planner import FilterPlanner
from unbraid_index.recall import SAME_SCORE
from unbraid_index.scan import scan
from unbraid_index.surroundings import Surroundings

__all__ = ["measure_filter_costs"]

LEAST_CALLS = 10
MISSED_SHARES = [0.32 / 2 ** (halvings / 2) for halvings in range(16)]


def measure_filter_costs(
    index: faiss.Index, item_vectors_ID: ItemVectors, cases: FilterCases, recall_target: float
) -> FilterCosts | None:
    """The costs of an index with lists; None where it has none, or where they save nothing.

    Args:
        index: over the vectors.
        item_vectors_ID: of the catalogue.
        cases: what it is measured with.
        recall_target: mean share of the exact rows that has to be found, with every kind of filter.
    """
    lists = RowLists.of(index, item_vectors_ID)
    if lists is None:
        return None
    costs = _timed(lists, item_vectors_ID, cases.wide, cases.count)
    for missed_share in MISSED_SHARES:
        trial = costs.model_copy(update={"missed_share": missed_share})
        usual_ns = _usual_ns(FilterPlanner(item_vectors_ID, lists, trial), cases.wide, cases.count)
        if usual_ns >= costs.scan_ns(int(np.count_nonzero(cases.wide.allowed_I))):
            return None
        trial = trial.model_copy(update={"usual_ns": usual_ns})
        planner = FilterPlanner(item_vectors_ID, lists, trial)
        if all(_recall(planner, of_kind, cases.count) >= recall_target for of_kind in cases.kinds.values()):
            return trial
    return None


def _recall(planner: FilterPlanner, cases: Sequence[FilterCase], count: int) -> float:
    found = [
        (planner.search(query_QD, count, case.allowed_I).score_QC >= lowest_score_Q[:, None] - SAME_SCORE).mean()
        for case in cases
        for query_QD, lowest_score_Q in zip(case.query_BQD, case.lowest_score_BQ, strict=True)
    ]
    return float(np.mean(found))


def _timed(lists: RowLists, item_vectors_ID: ItemVectors, usual: FilterCase, count: int) -> FilterCosts:
    """Medians of the steps; with the largest share that may be missed."""
    row_A, query_BQD = np.flatnonzero(usual.allowed_I), usual.query_BQD
    share = len(row_A) / len(usual.allowed_I)
    around = [Surroundings.of(lists, query_QD, usual.allowed_I, share) for query_QD in query_BQD]
    nearest = [each.nearest(len(row_A) // 10) for each in around]
    listed = [each.listed_count(chosen_QL) for each, chosen_QL in zip(around, nearest, strict=True)]
    looking_ns = median_ns(len(around), lambda b: around[b].compared(item_vectors_ID, query_BQD[b], nearest[b]))
    scanning_ns = median_ns(LEAST_CALLS, lambda b: scan(item_vectors_ID, row_A, query_BQD[b], count))
    return FilterCosts(
        missed_share=MISSED_SHARES[0],
        spread_factor=_spread_factor(lists, item_vectors_ID, query_BQD),
        usual_ns=0.0,
        listed_row_ns=looking_ns / statistics.median(listed),
        scanned_row_ns=scanning_ns / len(row_A),
    )


def _usual_ns(planner: FilterPlanner, usual: FilterCase, count: int) -> float:
    return median_ns(len(usual.query_BQD), lambda b: planner.search(usual.query_BQD[b], count, usual.allowed_I))


def _spread_factor(lists: RowLists, item_vectors_ID: ItemVectors, query_BQD: FloatArray) -> float:
    """How much wider the inner products of real queries are spread than those of a vector of any direction."""
    query_ND = query_BQD.reshape(-1, query_BQD.shape[2])
    score_NL = query_ND @ item_vectors_ID[lists.sample_row_LS[:, 0]].T
    deviation_NL = (score_NL - query_ND @ lists.centre_LD.T) / lists.spread_L
    return float(deviation_NL[:, lists.size_L > 0].std())
