"""Item vectors of fewer bytes: how close they stay, and that taking rows out of them is all that anybody needs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid_core.item_vectors import CompactVectors, ItemVectors, compact
from unbraid_core.types import FloatArray, Precision

BELOW_FP32 = [Precision.FP16, Precision.INT8]


def unit_vectors(count: int, dimension: int, seed: int) -> FloatArray:
    vectors_ID = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    vectors_ID /= np.linalg.norm(vectors_ID, axis=1, keepdims=True)
    return vectors_ID


def rounding(vectors_ID: FloatArray, precision: Precision) -> FloatArray:
    """How far rounding can move each vector: half of 1/127 of its largest number in each number, or 11 bits of each."""
    if precision is Precision.FP16:
        return np.full(len(vectors_ID), 2.0**-11, np.float32)
    largest_I: FloatArray = np.abs(vectors_ID).max(axis=1)
    return largest_I * np.float32(vectors_ID.shape[1] ** 0.5 / 254)


@pytest.mark.parametrize(("precision", "bytes_each"), [(Precision.FP16, 2), (Precision.INT8, 1)])
@given(
    count=st.integers(1, 40),
    dimension=st.integers(1, 128),
    seed=st.integers(0, 2**32 - 1),
    spread=st.floats(1e-3, 1e3),
)
def test_a_compact_vector_points_where_the_vector_did(
    precision: Precision, bytes_each: int, count: int, dimension: int, seed: int, spread: float
) -> None:
    vectors_ID = unit_vectors(count, dimension, seed) * np.geomspace(1.0, spread, dimension, dtype=np.float32)
    vectors_ID /= np.linalg.norm(vectors_ID, axis=1, keepdims=True)

    stored_ID = compact(vectors_ID, precision)
    found_ID = CompactVectors(stored_ID)[:]

    assert stored_ID.nbytes == count * dimension * bytes_each
    assert found_ID.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found_ID, axis=1), 1.0, atol=1e-6)
    # Bringing what was rounded back to unit length moves it at most as far again.
    moved_I = np.linalg.norm(found_ID - vectors_ID, axis=1)
    np.testing.assert_array_less(moved_I, 2 * rounding(vectors_ID, precision) + 1e-6)


@pytest.mark.parametrize("precision", BELOW_FP32)
def test_rows_are_taken_out_as_from_an_array(precision: Precision) -> None:
    vectors: ItemVectors = CompactVectors(compact(unit_vectors(50, 12, seed=3), precision))
    whole_ID = vectors[:]
    assert vectors.shape == whole_ID.shape == (50, 12)
    assert len(vectors) == 50
    for rows in (np.array([4, 4, 49, 0]), np.array([[1, 2], [3, -1]]), np.empty(0, np.int64), slice(10, 20, 3)):
        np.testing.assert_array_equal(vectors[rows], whole_ID[rows])


def test_what_was_taken_out_can_be_changed() -> None:
    vectors = CompactVectors(compact(unit_vectors(5, 8, seed=4), Precision.INT8))
    before_ID = vectors[:]
    vectors[np.array([1, 2])][:] = 0.0
    np.testing.assert_array_equal(vectors[:], before_ID)


def test_an_array_of_float32_is_taken_as_it_is() -> None:
    array_ID = unit_vectors(5, 8, seed=5)
    vectors: ItemVectors = array_ID
    assert np.shares_memory(vectors[:], array_ID), "no copy of a whole catalogue"
