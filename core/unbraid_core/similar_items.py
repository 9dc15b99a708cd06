"""The items nearest to one item: a search by its vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unbraid_core.blocking import MOST_PASSED_OVER, matching
from unbraid_core.filter import Filter
from unbraid_core.types import FloatArray, IntArray, SearchPlan

if TYPE_CHECKING:
    from unbraid_core.pipeline import Pipeline

__all__ = ["SimilarItems", "SimilarQuery", "similar_items"]


@dataclass(frozen=True, slots=True, eq=False)
class SimilarQuery:
    """Near which living row, how many, and what must not come back; as in ``Query``."""

    row: int
    limit: int
    excluded_row_X: IntArray
    filter: Filter | None = None
    allowed_row_A: IntArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SimilarItems:
    """Rows and the cosines of their vectors, nearest first, equal ones by row.

    ``matching_count`` is how many items the filter lets through, None where there is none.
    """

    row_R: IntArray
    similarity_R: FloatArray
    plan: SearchPlan
    matching_count: int | None


def similar_items(pipeline: Pipeline, query: SimilarQuery) -> SimilarItems:
    """The living items nearest to one, without that one itself; fewer than the limit only if fewer may come back.

    Raises:
        InvalidInput: the query filters by what the catalogue does not have.
    """
    blocked_row_X = np.union1d(query.excluded_row_X, query.row)
    vector_D = pipeline.item_vectors_ID[np.array([query.row])][0]
    is_filtered = query.filter is not None or query.allowed_row_A is not None
    allowed_I, matching_count, reach = None, None, query.limit
    is_long = len(blocked_row_X) > MOST_PASSED_OVER
    if is_filtered or is_long:
        allowed_I = matching(pipeline, query.filter, query.allowed_row_A)
        matching_count = int(np.count_nonzero(allowed_I)) if is_filtered else None
        if is_long:
            allowed_I[blocked_row_X] = False
    if not is_long:
        # So a filter is the same for all items.
        reach += len(blocked_row_X)
    hits = pipeline.searcher.search(vector_D[None, :], min(reach, pipeline.searcher.size), allowed_I)
    row_C = hits.row_QC[0]
    row_C = row_C[(row_C >= 0) & ~np.isin(row_C, blocked_row_X)]
    # An index may store vectors more coarsely than the release does.
    similarity_C = pipeline.item_vectors_ID[row_C] @ vector_D
    nearest_R = np.lexsort((row_C, -similarity_C))[: query.limit]
    return SimilarItems(row_C[nearest_R], similarity_C[nearest_R], hits.plan, matching_count)
