"""The two ends of every search, shared by all searchers: what may come in, and how an answer is padded."""

from __future__ import annotations

import numpy as np

from unbraid_core.errors import InvalidInput
from unbraid_core.types import BoolArray, FloatArray, IntArray, SearchHits, SearchPlan

__all__ = ["checked_allowed", "checked_queries", "padded_hits"]


def checked_queries(query_QD: FloatArray, count: int, dimension: int) -> FloatArray:
    """The queries in contiguous memory.

    Raises:
        InvalidInput: not float32 [Q, ``dimension``], not finite (FAISS answers NaN with no rows and no error), or
            ``count`` below 1.
    """
    if count < 1:
        raise InvalidInput("count", f"{count} is not positive; ask for at least 1 row")
    if query_QD.ndim != 2 or query_QD.shape[1] != dimension:
        raise InvalidInput("query", f"shape {list(query_QD.shape)} is not [Q, {dimension}], the shape of this index")
    if query_QD.dtype != np.float32:
        raise InvalidInput("query", f"dtype {query_QD.dtype} is not float32; convert the vectors")
    finite_QD = np.isfinite(query_QD)
    if not finite_QD.all():
        raise InvalidInput("query", f"vector {int(np.argmin(finite_QD.all(axis=1)))} holds NaN or infinity")
    return np.ascontiguousarray(query_QD)


def checked_allowed(allowed_I: BoolArray, size: int) -> BoolArray:
    """Which rows may come back.

    Raises:
        InvalidInput: not bool [``size``].
    """
    if allowed_I.shape != (size,) or allowed_I.dtype != np.bool_:
        found = f"{allowed_I.dtype} {list(allowed_I.shape)}"
        raise InvalidInput("allowed", f"{found} is not bool [{size}], one flag for each row of this index")
    return allowed_I


def padded_hits(row_QC: IntArray, score_QC: FloatArray, count: int, plan: SearchPlan) -> SearchHits:
    """Hits widened to ``count`` columns with row -1 and score -inf."""
    missing = ((0, 0), (0, count - row_QC.shape[1]))
    if missing[1][1] == 0:
        return SearchHits(row_QC, score_QC, plan)
    return SearchHits(
        np.pad(row_QC, missing, constant_values=-1),
        np.pad(score_QC, missing, constant_values=-np.inf),
        plan,
    )
