"""Upserts against a release that makes vectors of what items say."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from unbraid_core.catalogue import Catalogue
from unbraid_core.item_change import Item, ItemChange, ItemVector
from unbraid_core.types import FloatArray
from unbraid_server.catalogue_requests import SentItem
from unbraid_server.item_changes import upserts
from unbraid_server.model import Model


def encode(items: Catalogue) -> FloatArray:
    """A vector for every title, the same for the same title."""
    seeds = [hashlib.sha256(title.encode()).digest() for title in items.titles(np.arange(len(items)))]
    vectors_ND = np.array([np.frombuffer(seed, np.uint32) for seed in seeds], np.float64) - 2.0**31
    unit_ND: FloatArray = (vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)).astype(np.float32)
    return unit_ND


def placed_by(title: str) -> FloatArray:
    vector_D: FloatArray = encode(Catalogue.of(["x"], [title]))[0]
    return vector_D


@pytest.fixture
def model(model_v1: Model) -> Model:
    """The committed release, with an encoder of items."""
    released = replace(model_v1.delta.released, encode=encode)
    return replace(model_v1, delta=replace(model_v1.delta, released=released))


def upserted(model: Model, *items: Item, vector: bytes = b"") -> Model:
    changes = upserts(model, [SentItem(item, vector) for item in items], model.space_id)
    first = model.delta.sequence + 1
    return model.with_changes([replace(change, sequence=first + n) for n, change in enumerate(changes)])


def vector_of(model: Model, item_id: str) -> FloatArray:
    vector_D: FloatArray = model.pipeline.item_vectors_ID[model.catalogue.rows([item_id])][0]
    return vector_D


def test_a_new_item_without_a_vector_is_where_its_text_puts_it(model: Model) -> None:
    model = upserted(model, Item("one", "jazz"), Item("two", "blues"))
    np.testing.assert_array_equal(vector_of(model, "one"), placed_by("jazz"))
    np.testing.assert_array_equal(vector_of(model, "two"), placed_by("blues"))


def test_its_new_text_moves_an_item_that_its_text_had_put_somewhere(model: Model) -> None:
    model = upserted(upserted(model, Item("one", "jazz")), Item("one", "blues"))
    np.testing.assert_array_equal(vector_of(model, "one"), placed_by("blues"))


def test_no_text_moves_an_item_of_the_release_or_one_with_a_vector(model: Model, model_v1: Model) -> None:
    sent = np.array([2.0] + [0.0] * 7, "<f4").tobytes()
    model = upserted(upserted(model, Item("one", "jazz"), vector=sent), Item("k00", "new words"))
    # The store hands the vector on to a change that has none.
    [change] = upserts(model, [SentItem(Item("one", "blues"), b"")], model.space_id)
    assert change.vector is None
    np.testing.assert_array_equal(vector_of(model, "one"), [1.0] + [0.0] * 7)
    np.testing.assert_array_equal(vector_of(model, "k00"), vector_of(model_v1, "k00"))


def test_an_item_of_another_space_is_where_its_text_puts_it(model: Model) -> None:
    stray = ItemVector("another-space", np.array([1.0] + [0.0] * 7, np.float32))
    model = model.with_changes([ItemChange("stray", Item("stray", "jazz"), stray, sequence=1)])
    assert model.delta.homeless == frozenset()
    np.testing.assert_array_equal(vector_of(model, "stray"), placed_by("jazz"))


def test_what_is_expected_of_a_new_item_is_what_its_neighbours_are_on_average(model_learned: Model) -> None:
    vector_D = np.array([0.6, 0.8] + [0.0] * 6, "<f4")
    model = upserted(model_learned, Item("one"), vector=vector_D.tobytes())
    near_M = np.argsort(-(model_learned.released.item_vectors_ID[:] @ vector_D))[:10]
    row = model.catalogue.rows(["one"])
    expected = model_learned.released.log_popularity_I[near_M].mean()
    np.testing.assert_allclose(model.pipeline.log_popularity_I[row], [expected], rtol=1e-5)
    inputs, before = model.pipeline.ranker_inputs, model_learned.released.ranker_inputs
    assert inputs is not None
    assert before is not None
    expected_S = before.statistics.value_IS[near_M].mean(axis=0)
    np.testing.assert_allclose(inputs.statistics.value_IS[row][0], expected_S, rtol=1e-4, atol=1e-6)
