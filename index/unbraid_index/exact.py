"""The oracle: exact search in NumPy, simple enough to be believed."""

from __future__ import annotations

import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.types import FloatArray, IntArray, SearchHits
from unbraid_index.contract import checked_queries, padded_hits

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

    def search(self, query_QD: FloatArray, count: int) -> SearchHits:
        """The ``count`` best rows for each query, best first, padded with -1 beyond ``size``.

        Raises:
            InvalidInput: the queries are not finite float32 [Q, D], or count is not positive.
        """
        query_QD = checked_queries(query_QD, count, self._item_vectors_ID.shape[1])
        reach = min(count, self.size)
        row_QC = np.empty((len(query_QD), reach), np.int64)
        score_QC = np.empty((len(query_QD), reach), np.float32)
        step = max(1, SCORE_BYTES // (self.size * score_QC.itemsize))
        for start in range(0, len(query_QD), step):
            score_SI = query_QD[start : start + step] @ self._item_vectors_ID.T
            for q, score_I in enumerate(score_SI, start):
                row_QC[q] = _best_rows(score_I, reach)
                score_QC[q] = score_I[row_QC[q]]
        return padded_hits(row_QC, score_QC, count)


def _best_rows(score_I: FloatArray, count: int) -> IntArray:
    """The rows of the ``count`` largest scores, best first; among equal scores the smaller row wins."""
    lowest_kept = np.partition(score_I, -count)[-count]
    row_C = np.flatnonzero(score_I >= lowest_kept)
    order_C = np.argsort(-score_I[row_C], kind="stable")
    best_C: IntArray = row_C[order_C[:count]]
    return best_C
