"""The oracle: exact search in NumPy, simple enough to be believed."""

from __future__ import annotations

import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.types import BoolArray, FloatArray, IntArray, SearchHits, SearchPlan
from unbraid_index.contract import checked_allowed, checked_queries, padded_hits

__all__ = ["ExactSearcher"]

SCORE_BYTES = 64 * 2**20


class ExactSearcher:
    """Exact search over item vectors [I, D]; equal scores are ordered by row.

    It holds at most 64 MiB of scores at a time, or the scores of one query where those are more.
    """

    def __init__(self, item_vectors_ID: ItemVectors) -> None:
        self._item_vectors_ID = item_vectors_ID[:]

    @property
    def size(self) -> int:
        """Number of items that can be found."""
        return len(self._item_vectors_ID)

    def search(self, query_QD: FloatArray, count: int, allowed_I: BoolArray | None = None) -> SearchHits:
        """See the Searcher port."""
        query_QD = checked_queries(query_QD, count, self._item_vectors_ID.shape[1])
        allowed_I = np.ones(self.size, np.bool_) if allowed_I is None else checked_allowed(allowed_I, self.size)
        reach = min(count, int(np.count_nonzero(allowed_I)))
        row_QC = np.empty((len(query_QD), reach), np.int64)
        score_QC = np.empty((len(query_QD), reach), np.float32)
        step = max(1, SCORE_BYTES // (self.size * score_QC.itemsize))
        for start in range(0, len(query_QD), step):
            score_SI = query_QD[start : start + step] @ self._item_vectors_ID.T
            score_SI[:, ~allowed_I] = -np.inf
            for q, score_I in enumerate(score_SI, start):
                row_QC[q] = _best_positions(score_I, reach)
                score_QC[q] = score_I[row_QC[q]]
        return padded_hits(row_QC, score_QC, count, SearchPlan.SCAN)


def _best_positions(score_I: FloatArray, count: int) -> IntArray:
    """Where the ``count`` largest scores stand, best first; among equal scores the smaller position wins."""
    if count == 0:
        return np.empty(0, np.int64)
    lowest_kept = np.partition(score_I, -count)[-count]
    position_C = np.flatnonzero(score_I >= lowest_kept)
    order_C = np.argsort(-score_I[position_C], kind="stable")
    best_C: IntArray = position_C[order_C[:count]]
    return best_C
