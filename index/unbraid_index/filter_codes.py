"""Measuring how the codes of the rows that a filter allows are best searched."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.release import FilterCodes
from unbraid_core.types import DoubleArray, IntArray
from unbraid_index.filter_cases import FilterCase, FilterCases, median_ns
from unbraid_index.recall import SAME_SCORE
from unbraid_index.row_codes import MOST_CODED_ROWS, RowCodes
from unbraid_index.scan import scan

__all__ = ["measure_filter_codes"]

SHORTLISTS_PERCENT = (120, 130, 150, 175, 200, 250, 300, 400)
MOST_UNSURE = 0.1
"""Share of the queries of all filters, those that lie behind a wall included, that may have to be scanned."""
TIMED_CALLS = 20
SMALL_SHARE = 1 / 8
"""Of the rows of the larger of two measured filters; costs grow evenly between them."""


def measure_filter_codes(item_vectors_ID: ItemVectors, cases: FilterCases, recall_target: float) -> FilterCodes | None:
    """The shortest shortlist that finds enough with every kind of filter, and what it costs.

    None where there is none, or where comparing with all allowed rows costs less.

    Args:
        item_vectors_ID: of the catalogue.
        cases: what it is measured with.
        recall_target: mean share of the exact rows that has to be found.
    """
    shortlist_percent = _shortlist_percent(item_vectors_ID, cases, recall_target)
    if shortlist_percent is None:
        return None
    query_BQD, row_A = cases.wide.query_BQD, np.flatnonzero(cases.wide.allowed_I)[:MOST_CODED_ROWS]
    small_A, codes = row_A[: int(SMALL_SHARE * len(row_A))], RowCodes.of(item_vectors_ID, row_A)
    small_codes = RowCodes.of(item_vectors_ID, small_A)

    def searching(some: RowCodes) -> Callable[[int], object]:
        return lambda b: some.search(item_vectors_ID, query_BQD[b % len(query_BQD)], cases.count, shortlist_percent)

    def scanning(some_A: IntArray) -> Callable[[int], object]:
        return lambda b: scan(item_vectors_ID, some_A, query_BQD[b % len(query_BQD)], cases.count)

    call_ns, row_ns = _line(len(small_A), searching(small_codes), len(row_A), searching(codes))
    scan_ns, scanned_row_ns = _line(len(small_A), scanning(small_A), len(row_A), scanning(row_A))
    if call_ns + row_ns * len(row_A) >= scan_ns + scanned_row_ns * len(row_A):
        return None
    least_rows = (call_ns - scan_ns) / (scanned_row_ns - row_ns) if scanned_row_ns > row_ns else 1.0
    return FilterCodes(
        shortlist_percent=shortlist_percent,
        least_rows=max(1, int(least_rows)),
        call_ns=max(0.0, call_ns),
        row_ns=row_ns,
    )


def _shortlist_percent(item_vectors_ID: ItemVectors, cases: FilterCases, recall_target: float) -> int | None:
    measured = [
        np.array([_measured(item_vectors_ID, case, cases.count) for case in of_kind if _is_codable(case)])
        for of_kind in cases.kinds.values()
    ]
    kind_GMP = np.array([of_kind_NMP.mean(axis=0) for of_kind_NMP in measured if len(of_kind_NMP)])
    if not len(kind_GMP):
        return None
    enough_P = (kind_GMP[:, 0].min(axis=0) >= recall_target) & (kind_GMP[:, 1].mean(axis=0) <= MOST_UNSURE)
    return SHORTLISTS_PERCENT[int(np.argmax(enough_P))] if enough_P.any() else None


def _is_codable(case: FilterCase) -> bool:
    return int(np.count_nonzero(case.allowed_I)) <= MOST_CODED_ROWS


def _measured(item_vectors_ID: ItemVectors, case: FilterCase, count: int) -> DoubleArray:
    """Recall and the share of queries that are not sure, and so scanned, for each shortlist: float64 [2, P]."""
    codes = RowCodes.of(item_vectors_ID, np.flatnonzero(case.allowed_I))
    total_MP = np.zeros((2, len(SHORTLISTS_PERCENT)))
    for query_QD, lowest_score_Q in zip(case.query_BQD, case.lowest_score_BQ, strict=True):
        for p, percent in enumerate(SHORTLISTS_PERCENT):
            hits = codes.search(item_vectors_ID, query_QD, count, percent)
            found_Q = (hits.score_QC >= lowest_score_Q[:, None] - SAME_SCORE).mean(axis=1)
            total_MP[:, p] += np.where(hits.sure_Q, found_Q, 1.0).mean(), 1.0 - hits.sure_Q.mean()
    return total_MP / len(case.query_BQD)


def _line(
    few: int, with_few: Callable[[int], object], many: int, with_many: Callable[[int], object]
) -> tuple[float, float]:
    """What a call costs, and each of its rows, from calls with few rows and with many."""
    few_ns, many_ns = median_ns(TIMED_CALLS, with_few), median_ns(TIMED_CALLS, with_many)
    row_ns = max(0.001, (many_ns - few_ns) / (many - few))
    return few_ns - few * row_ns, row_ns
