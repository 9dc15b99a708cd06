"""What must not come back: a stage of the pipeline, before all that finds candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from unbraid_core.draft import Draft
from unbraid_core.filter import Filter
from unbraid_core.types import BoolArray, IntArray

if TYPE_CHECKING:
    from unbraid_core.pipeline import Pipeline

__all__ = ["MOST_PASSED_OVER", "block", "matching"]

MOST_PASSED_OVER = 256
"""How many blocked rows an index is asked for in vain, at most, before it is told which rows are allowed."""


def block(pipeline: Pipeline, drafts: Sequence[Draft]) -> None:
    """Mark what must not come back: dead rows, what does not match, excluded items, seen ones unless asked for."""
    row_count, tombstone_I = len(pipeline.item_vectors_ID), pipeline.tombstone_I
    tombstone_count = 0 if tombstone_I is None else int(np.count_nonzero(tombstone_I))
    for draft in drafts:
        query = draft.query
        draft.blocked_I = np.zeros(row_count, np.bool_) if tombstone_I is None else tombstone_I.copy()
        if query.is_filtered:
            draft.matching_I = matching(pipeline, query.filter, query.allowed_row_A)
            draft.matching_count = int(np.count_nonzero(draft.matching_I))
            draft.blocked_I = ~draft.matching_I
        draft.blocked_I[query.excluded_row_X] = True
        if not query.include_seen:
            draft.blocked_I[query.history.row_N] = True
        draft.allowed_count = row_count - int(np.count_nonzero(draft.blocked_I))
        draft.blocked_count = row_count - draft.allowed_count - tombstone_count


def matching(pipeline: Pipeline, wanted: Filter | None, allowed_row_A: IntArray | None) -> BoolArray:
    """Which living rows a filter and a list of allowed rows let through: bool [I], a new array."""
    tombstone_I = pipeline.tombstone_I
    matching_I = np.ones(len(pipeline.item_vectors_ID), np.bool_) if tombstone_I is None else ~tombstone_I
    if wanted is not None:
        assert pipeline.attributes is not None
        matching_I &= pipeline.attributes.matching(wanted)
    if allowed_row_A is not None:
        listed_I = np.zeros(len(matching_I), np.bool_)
        listed_I[allowed_row_A] = True
        matching_I &= listed_I
    return matching_I
