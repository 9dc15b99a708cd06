"""How a search among allowed rows runs: the cheaper of two ways, by costs that were measured when the index was built.

SCAN compares with every allowed row: exact, and hard to beat where few are allowed. LISTS compares with the allowed
rows in the inverted lists nearest to the queries, and takes the more lists the fewer of their rows are allowed. Both
gather rows and multiply once for all queries of a call. FAISS can do the second with a selector, one query at a time;
that takes longer even for the same lists, docs/filters.md has the figures.
"""

from __future__ import annotations

from typing import Self

import faiss
import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.release import FilterCosts
from unbraid_core.types import BoolArray, FloatArray, IntArray, SearchHits, SearchPlan
from unbraid_index.contract import padded_hits
from unbraid_index.lists import RowLists
from unbraid_index.scan import scan

__all__ = ["FilterPlanner"]


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
        return cls(item_vectors_ID, None if costs is None else RowLists.of(index), costs)

    def search(self, query_QD: FloatArray, count: int, allowed_I: BoolArray) -> SearchHits:
        """See the Searcher port; the arguments are checked already."""
        row_A, plan = self._near_rows(query_QD, count, allowed_I), SearchPlan.LISTS
        if row_A is None:
            row_A, plan = np.flatnonzero(allowed_I), SearchPlan.SCAN
        return padded_hits(*scan(self._item_vectors_ID, row_A, query_QD, count), count, plan)

    def _near_rows(self, query_QD: FloatArray, count: int, allowed_I: BoolArray) -> IntArray | None:
        """The allowed rows near the queries, None where comparing with all allowed rows costs less or is needed."""
        if self._lists is None or self._costs is None:
            return None
        costs, allowed_count = self._costs, int(np.count_nonzero(allowed_I))
        wanted = costs.rows_wanted(count)
        if allowed_count <= wanted * len(query_QD):
            return None
        near = self._lists.around(query_QD, allowed_I, wanted)
        if costs.lists_ns(near.listed_count, near.allowed_count) >= costs.scan_ns(allowed_count):
            return None
        row_A = self._lists.allowed_rows(near.list_U, allowed_I)
        return row_A if len(row_A) >= min(count, allowed_count) else None
