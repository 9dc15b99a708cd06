"""How a search among allowed rows runs: the cheaper of two ways, by costs that were measured when the index was built.

SCAN compares with every allowed row: exact, and hard to beat where few are allowed. LISTS compares with the allowed
rows in inverted lists of the index: first in those nearest to the queries, then in others, until hardly any better ones
are expected in the rest. Where that turns out to be most of what is allowed, it becomes a SCAN.

Both gather rows and multiply once for all queries of a call. FAISS can search among allowed rows with a selector, one
query at a time; that takes longer even in the same lists.
"""

from __future__ import annotations

import math
from typing import Self

import faiss
import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.release import FilterCosts
from unbraid_core.types import BoolArray, FloatArray, IntArray, SearchHits, SearchPlan
from unbraid_index.contract import padded_hits
from unbraid_index.lists import RowLists
from unbraid_index.ordering import best_rows
from unbraid_index.scan import scan
from unbraid_index.surroundings import Surroundings

__all__ = ["LEAST_SHARE", "FilterPlanner"]

USUAL_SHARE = 0.5
"""Of the rows; what ``FilterCosts.usual_ns`` is about."""
LEAST_SHARE = 1 / 12
"""Where less is allowed it is always a scan. Costs are measured down to here, and no farther."""

FIRST_ROWS = 2
"""For each wanted row so many allowed ones are looked at first, to learn what a good one scores."""


class FilterPlanner:
    """Searches among allowed rows. Safe to call from several threads at once.

    Args:
        item_vectors_ID: of the catalogue.
        lists: of the index, None where it has none; then every search is a scan.
        costs: what was measured; None where nothing was, then every search is a scan as well.
    """

    def __init__(self, item_vectors_ID: ItemVectors, lists: RowLists | None, costs: FilterCosts | None) -> None:
        self._item_vectors_ID = item_vectors_ID
        self._lists = lists
        self._costs = costs

    @classmethod
    def of(cls, index: faiss.Index, item_vectors_ID: ItemVectors, costs: FilterCosts | None) -> Self:
        """A planner for an index, which has to stay while the planner is used."""
        return cls(item_vectors_ID, None if costs is None else RowLists.of(index, item_vectors_ID), costs)

    def search(self, query_QD: FloatArray, count: int, allowed_I: BoolArray) -> SearchHits:
        """See the Searcher port; the arguments are checked already."""
        found, plan = self._search_lists(query_QD, count, allowed_I), SearchPlan.LISTS
        if found is None:
            found, plan = scan(self._item_vectors_ID, np.flatnonzero(allowed_I), query_QD, count), SearchPlan.SCAN
        return padded_hits(*found, count, plan)

    def _search_lists(
        self, query_QD: FloatArray, count: int, allowed_I: BoolArray
    ) -> tuple[IntArray, FloatArray] | None:
        """Rows and inner products, None where comparing with all allowed rows costs less or is needed."""
        lists, costs = self._lists, self._costs
        if lists is None or costs is None:
            return None
        allowed_count = int(np.count_nonzero(allowed_I))
        scan_ns = costs.scan_ns(allowed_count)
        share = allowed_count / len(allowed_I)
        # The fewer rows are allowed, the more lists it takes: about as the root of the share, where that was measured.
        if share < LEAST_SHARE or scan_ns <= costs.usual_ns * math.sqrt(USUAL_SHARE / share):
            return None
        around = Surroundings.of(lists, query_QD, allowed_I)
        nearest_L = around.nearest(FIRST_ROWS * count)
        row_QC, score_QC = scan(self._item_vectors_ID, around.rows(nearest_L), query_QD, count)
        if row_QC.shape[1] < count:
            return None
        further_L = around.promising(score_QC[:, -1], nearest_L, costs.missed_share * count, costs.spread_factor)
        if costs.lists_ns(around.listed_count(further_L), around.allowed_count(further_L)) >= scan_ns:
            return None
        further = scan(self._item_vectors_ID, around.rows(further_L), query_QD, count)
        both = (np.concatenate(pair, axis=1) for pair in zip((row_QC, score_QC), further, strict=True))
        return best_rows(*both, count)
