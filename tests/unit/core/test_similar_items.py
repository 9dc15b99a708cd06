"""Neighbours of an item: what comparing with every item finds, whatever is blocked, filtered, dead or added."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid_core.pipeline import Pipeline
from unbraid_core.similar_items import SimilarQuery, similar_items
from unbraid_core.types import BoolArray, Query
from unbraid_index.exact import ExactSearcher
from unbraid_index.live_searcher import LiveSearcher

if TYPE_CHECKING:
    from tests.unit.core.conftest import MakeWorld


def neighbours(pipeline: Pipeline, query: SimilarQuery, is_allowed: BoolArray) -> list[int]:
    """All of them by sorting."""
    vectors_ID = pipeline.item_vectors_ID[:]
    similarity_I = vectors_ID @ vectors_ID[query.row]
    order = [int(row) for row in np.lexsort((np.arange(len(vectors_ID)), -similarity_I))]
    blocked = {query.row, *query.excluded_row_X.tolist()}
    return [row for row in order if is_allowed[row] and row not in blocked][: query.limit]


def allowed(pipeline: Pipeline, query: Query) -> BoolArray:
    allowed_I = np.ones(len(pipeline.item_vectors_ID), np.bool_)
    if query.filter is not None:
        assert pipeline.attributes is not None
        allowed_I &= pipeline.attributes.matching(query.filter)
    if query.allowed_row_A is not None:
        allowed_I &= np.isin(np.arange(len(allowed_I)), query.allowed_row_A)
    return allowed_I


@given(seed=st.integers(0, 2**32 - 1))
def test_neighbours_are_those_of_a_comparison_with_every_item(make_world: MakeWorld, seed: int) -> None:
    pipeline, (drawn,) = make_world(seed)
    row = int(np.random.default_rng(seed).integers(len(pipeline.item_vectors_ID)))
    query = SimilarQuery(row, drawn.limit, drawn.excluded_row_X, drawn.filter, drawn.allowed_row_A)
    found = similar_items(pipeline, query)
    allowed_I = allowed(pipeline, drawn)
    # Vectors have exact products, so equal similarities are equal however they are computed.
    assert found.row_R.tolist() == neighbours(pipeline, query, allowed_I)
    assert (
        found.similarity_R.tolist()
        == (pipeline.item_vectors_ID[found.row_R] @ pipeline.item_vectors_ID[:][row]).tolist()
    )
    assert found.matching_count == (int(allowed_I.sum()) if drawn.is_filtered else None)


@given(seed=st.integers(0, 2**32 - 1))
def test_dead_items_are_no_neighbours(make_world: MakeWorld, seed: int) -> None:
    world, (drawn,) = make_world(seed)
    rng = np.random.default_rng(seed)
    tombstone_I = rng.random(len(world.item_vectors_ID)) < 0.4
    row = int(rng.integers(len(tombstone_I)))
    tombstone_I[row] = False
    base, added = world.item_vectors_ID[:-1], world.item_vectors_ID[-1:]
    if not len(base):
        return
    searcher = LiveSearcher(ExactSearcher(base), added, tombstone_I)
    pipeline = replace(world, searcher=searcher, tombstone_I=tombstone_I)
    for filter_, allowed_row_A in ((None, None), (drawn.filter, drawn.allowed_row_A)):
        query = SimilarQuery(row, drawn.limit, drawn.excluded_row_X, filter_, allowed_row_A)
        allowed_I = allowed(pipeline, replace(drawn, filter=filter_, allowed_row_A=allowed_row_A)) & ~tombstone_I
        assert similar_items(pipeline, query).row_R.tolist() == neighbours(pipeline, query, allowed_I)


@pytest.mark.parametrize("excluded_count", [255, 256, 399])
def test_many_excluded_items_leave_the_nearest_of_the_others(make_world: MakeWorld, excluded_count: int) -> None:
    world, _ = make_world(3)
    vectors_ID = np.random.default_rng(4).choice([-0.5, 0.5], (400, 4)).astype(np.float32)
    pipeline = replace(world, searcher=ExactSearcher(vectors_ID), item_vectors_ID=vectors_ID)
    query = SimilarQuery(7, 5, np.arange(excluded_count))
    assert similar_items(pipeline, query).row_R.tolist() == neighbours(pipeline, query, np.ones(400, np.bool_))
