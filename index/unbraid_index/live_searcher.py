"""Search in a catalogue that changes: an index that does not, tombstones over it, and a scan of what was added."""

from __future__ import annotations

import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.ports import Searcher
from unbraid_core.types import BoolArray, FloatArray, SearchHits
from unbraid_index.contract import checked_allowed, checked_queries, padded_hits
from unbraid_index.ordering import best_rows
from unbraid_index.scan import scan

__all__ = ["LiveSearcher"]

LEAST_SURPLUS = 16


class LiveSearcher:
    """Finds the living rows of a base and of the rows behind it. Safe to call from several threads at once.

    As long as the tombstones are spread like the items, one search of the base that asks for a little more than is
    wanted finds enough living rows; where it does not, the base searches among the living ones.

    Args:
        base: over the first rows.
        added_vectors_ND: of the rows behind them.
        tombstone_I: bool [size], which rows are dead.
    """

    def __init__(self, base: Searcher, added_vectors_ND: FloatArray, tombstone_I: BoolArray) -> None:
        self._base = base
        self._added_vectors_ND: ItemVectors = added_vectors_ND
        self._living_I = ~tombstone_I
        self._dead_base_count = int(np.count_nonzero(tombstone_I[: base.size]))

    @property
    def size(self) -> int:
        """Number of rows, living or dead."""
        return len(self._living_I)

    def search(self, query_QD: FloatArray, count: int, allowed_I: BoolArray | None = None) -> SearchHits:
        """See the Searcher port; dead rows never come back."""
        query_QD = checked_queries(query_QD, count, self._added_vectors_ND.shape[1])
        base_size = self._base.size
        if allowed_I is None:
            living_N = self._living_I[base_size:]
            found = self._search_base(query_QD, count)
        else:
            allowed_I = checked_allowed(allowed_I, self.size) & self._living_I
            living_N = allowed_I[base_size:]
            found = self._base.search(query_QD, count, allowed_I[:base_size])
        if not living_N.any():
            return found
        row_QC, score_QC = scan(self._added_vectors_ND, np.flatnonzero(living_N), query_QD, count)
        added = SearchHits(row_QC + base_size, score_QC, found.plan)
        return _best(found, added, count)

    def _search_base(self, query_QD: FloatArray, count: int) -> SearchHits:
        if not self._dead_base_count:
            return self._base.search(query_QD, count)
        base_size = self._base.size
        expected = -(-2 * count * self._dead_base_count // base_size)
        reach = min(count + min(expected + LEAST_SURPLUS, self._dead_base_count), base_size)
        hits = self._base.search(query_QD, reach)
        living_QC = (hits.row_QC >= 0) & self._living_I[hits.row_QC]
        wanted = min(count, base_size - self._dead_base_count)
        if (np.count_nonzero(living_QC, axis=1) < wanted).any():
            return self._base.search(query_QD, count, self._living_I[:base_size])
        first_QC = np.argsort(~living_QC, axis=1, kind="stable")[:, :wanted]
        row_QC = np.take_along_axis(hits.row_QC, first_QC, axis=1)
        score_QC = np.take_along_axis(hits.score_QC, first_QC, axis=1)
        return padded_hits(row_QC, score_QC, count, hits.plan)


def _best(base: SearchHits, added: SearchHits, count: int) -> SearchHits:
    """The best of both."""
    row_QC = np.concatenate([base.row_QC, added.row_QC], axis=1)
    score_QC = np.concatenate([base.score_QC, added.score_QC], axis=1)
    return SearchHits(*best_rows(row_QC, score_QC, count), base.plan)
