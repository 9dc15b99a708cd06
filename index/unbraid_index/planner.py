"""How a search among allowed rows runs: the cheapest of three ways, by costs that were measured with the index.

SCAN compares with every allowed row: exact, and hard to beat where few are allowed. CODES does so in 4 bits a
dimension, once a filter has come again and again. LISTS compares each query with the allowed rows in
inverted lists of the index: first in those nearest to it, then in others, until hardly any better ones are expected in
the rest. Where that turns out to be most of what is allowed, it becomes one of the others.

All gather rows and multiply. FAISS can search among allowed rows with a selector; that takes longer even in the same
lists.
"""

from __future__ import annotations

import math
from typing import Self

import faiss
import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.release import FilterCodes, FilterCosts
from unbraid_core.types import BoolArray, FloatArray, IntArray, SearchHits, SearchPlan
from unbraid_index.contract import padded_hits
from unbraid_index.filter_cases import LEAST_SHARE
from unbraid_index.lists import RowLists
from unbraid_index.ordering import best_rows
from unbraid_index.recurring_filters import RecurringFilters
from unbraid_index.row_codes import RowCodes
from unbraid_index.scan import allowed_rows, scan
from unbraid_index.surroundings import Surroundings

__all__ = ["FilterPlanner"]

USUAL_SHARE = 0.5
"""Of the rows; what ``FilterCosts.usual_ns`` is about."""

LEAST_GAIN = 1.5
"""What comparing with everything has to cost over what a search in lists is expected to: where lists turn out to be of
no use, what was looked at so far comes on top."""

FIRST_ROWS = 2
"""For each wanted row so many allowed ones are looked at first, to learn what a good one scores."""


class FilterPlanner:
    """Searches among allowed rows. Safe to call from several threads at once.

    Args:
        item_vectors_ID: of the catalogue.
        lists: of the index, None where it has none.
        costs: of a search in lists; None where they save nothing.
        codes: how the codes of recurring filters are searched; None where they save nothing.
    """

    def __init__(
        self,
        item_vectors_ID: ItemVectors,
        lists: RowLists | None,
        costs: FilterCosts | None,
        codes: FilterCodes | None = None,
    ) -> None:
        self._item_vectors_ID = item_vectors_ID
        self._lists = lists
        self._costs = costs
        self._code_costs = codes
        self._recurring = None if codes is None else RecurringFilters(item_vectors_ID, codes.least_rows)

    @classmethod
    def of(
        cls, index: faiss.Index, item_vectors_ID: ItemVectors, costs: FilterCosts | None, codes: FilterCodes | None
    ) -> Self:
        """A planner for an index, which has to stay while the planner is used."""
        return cls(item_vectors_ID, None if costs is None else RowLists.of(index, item_vectors_ID), costs, codes)

    def search(self, query_QD: FloatArray, count: int, allowed_I: BoolArray) -> SearchHits:
        """See the Searcher port; the arguments are checked already."""
        allowed_count = int(np.count_nonzero(allowed_I))
        codes = None if self._recurring is None else self._recurring.codes(allowed_I, allowed_count)
        found = self._search_lists(query_QD, count, allowed_I, allowed_count, codes)
        if found is not None:
            return padded_hits(*found, count, SearchPlan.LISTS)
        if codes is not None:
            return padded_hits(*self._search_codes(query_QD, count, codes), count, SearchPlan.CODES)
        found = scan(self._item_vectors_ID, allowed_rows(allowed_I, allowed_count), query_QD, count)
        return padded_hits(*found, count, SearchPlan.SCAN)

    def _search_codes(self, query_QD: FloatArray, count: int, codes: RowCodes) -> tuple[IntArray, FloatArray]:
        """Rows and inner products; a query whose best rows the codes cannot tell apart is compared with all of them."""
        assert self._code_costs is not None
        hits = codes.search(self._item_vectors_ID, query_QD, count, self._code_costs.shortlist_percent)
        if not hits.sure_Q.all():
            unsure_Q = ~hits.sure_Q
            compared = scan(self._item_vectors_ID, codes.row_A.astype(np.int64), query_QD[unsure_Q], count)
            hits.row_QC[unsure_Q], hits.score_QC[unsure_Q] = compared
        return hits.row_QC, hits.score_QC

    def _search_lists(
        self, query_QD: FloatArray, count: int, allowed_I: BoolArray, allowed_count: int, codes: RowCodes | None
    ) -> tuple[IntArray, FloatArray] | None:
        """Rows and inner products, None where comparing with all allowed rows costs less or is needed."""
        lists, costs = self._lists, self._costs
        if lists is None or costs is None:
            return None
        comparing_ns = costs.scan_ns(allowed_count)
        if codes is not None:
            assert self._code_costs is not None
            comparing_ns = self._code_costs.search_ns(allowed_count)
        share = allowed_count / len(allowed_I)
        # The fewer rows are allowed, the more lists it takes: about as the root of the share, where that was measured.
        if share < LEAST_SHARE or comparing_ns <= LEAST_GAIN * costs.usual_ns * math.sqrt(USUAL_SHARE / share):
            return None
        around = Surroundings.of(lists, query_QD, allowed_I, share)
        nearest_QL = around.nearest(FIRST_ROWS * count)
        first = best_rows(*around.compared(self._item_vectors_ID, query_QD, nearest_QL), count)
        if first[0].shape[1] < count or (first[0][:, -1] < 0).any():
            return None
        further_QL = around.promising(first[1][:, -1], nearest_QL, costs.missed_share * count, costs.spread_factor)
        if not further_QL.any():
            return first
        if costs.lists_ns(around.listed_count(further_QL)) >= comparing_ns:
            return None
        further = around.compared(self._item_vectors_ID, query_QD, further_QL)
        row_QM = np.concatenate([first[0], further[0]], axis=1)
        return best_rows(row_QM, np.concatenate([first[1], further[1]], axis=1), count)
