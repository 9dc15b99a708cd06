"""Search among living rows, whatever is dead."""

from __future__ import annotations

from collections.abc import Callable

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid_core.errors import InvalidInput
from unbraid_core.types import BoolArray, FloatArray
from unbraid_index.exact import ExactSearcher
from unbraid_index.faiss_searcher import FaissSearcher
from unbraid_index.family import family_named, list_count
from unbraid_index.live_searcher import LiveSearcher
from unbraid_index.making import IndexMaker
from unbraid_index.progress import unwatched

BASE, ADDED, DIMENSION = 2_000, 100, 16
MakeVectors = Callable[..., FloatArray]


@pytest.fixture(scope="module")
def vectors_ID(unit_vectors: MakeVectors) -> FloatArray:
    return unit_vectors(BASE + ADDED, DIMENSION, seed=1, clusters=20)


@pytest.fixture(scope="module")
def base(vectors_ID: FloatArray, tmp_path_factory: pytest.TempPathFactory) -> FaissSearcher:
    """All of its lists are searched, so that it finds what there is to find."""
    path = tmp_path_factory.mktemp("index") / "index.faiss"
    index = IndexMaker(vectors_ID[:BASE], 0, unwatched).make(family_named("ivf_flat"))
    faiss.write_index(index, str(path))
    return FaissSearcher.open(path, "ivf_flat", {"nprobe": list_count(BASE)}, vectors_ID[:BASE])


def check(base: FaissSearcher, vectors_ID: FloatArray, tombstone_I: BoolArray, allowed_I: BoolArray | None) -> None:
    """The answers are those of an exact search among what is alive and allowed."""
    live = LiveSearcher(base, vectors_ID[BASE:], tombstone_I)
    query_QD = vectors_ID[::700].copy()
    living_I = ~tombstone_I if allowed_I is None else ~tombstone_I & allowed_I
    for count in (1, 50, BASE + ADDED):
        found = live.search(query_QD, count, allowed_I)
        expected = ExactSearcher(vectors_ID).search(query_QD, count, living_I)
        assert found.row_QC.shape == (len(query_QD), count)
        np.testing.assert_array_equal(found.row_QC >= 0, expected.row_QC >= 0)
        np.testing.assert_allclose(found.score_QC, expected.score_QC, atol=1e-5)
        assert living_I[found.row_QC[found.row_QC >= 0]].all()


@settings(max_examples=20)
@given(share=st.sampled_from([0.0, 0.01, 0.3, 0.99, 1.0]), filtered=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_any_tombstones(base: FaissSearcher, vectors_ID: FloatArray, share: float, filtered: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tombstone_I = rng.random(BASE + ADDED) < share
    check(base, vectors_ID, tombstone_I, rng.random(BASE + ADDED) < 0.4 if filtered else None)


def test_all_that_is_near_a_query_is_dead(base: FaissSearcher, vectors_ID: FloatArray) -> None:
    tombstone_I = np.zeros(BASE + ADDED, np.bool_)
    tombstone_I[np.argsort(-(vectors_ID @ vectors_ID[0]))[:600]] = True
    check(base, vectors_ID, tombstone_I, None)


def test_what_is_asked_for_is_checked(base: FaissSearcher, vectors_ID: FloatArray) -> None:
    tombstone_I = np.ones(BASE + ADDED, np.bool_)
    live = LiveSearcher(base, vectors_ID[BASE:], tombstone_I)
    with pytest.raises(InvalidInput, match="count"):
        live.search(vectors_ID[:1], 0)
    with pytest.raises(InvalidInput, match=f"bool \\[{BASE + ADDED}\\]"):
        live.search(vectors_ID[:1], 1, tombstone_I[:BASE])
