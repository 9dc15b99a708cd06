"""The planner: which way a search among allowed rows goes, and that it finds as much as was measured."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import pytest

from unbraid_core.release import FilterCosts
from unbraid_core.types import BoolArray, FloatArray, SearchPlan
from unbraid_index.exact import ExactSearcher
from unbraid_index.faiss_searcher import FaissSearcher
from unbraid_index.family import family_named
from unbraid_index.filter_costs import measure_filter_costs
from unbraid_index.making import IndexMaker
from unbraid_index.progress import unwatched

SIZE, DIMENSION, CLUSTERS, COUNT, TARGET = 12_000, 16, 60, 20, 0.97

MakeVectors = Callable[..., FloatArray]


@dataclass(frozen=True, eq=False)
class Indexed:
    """An IVF in a file over clustered vectors, and queries of the same kind."""

    path: Path
    item_vectors_ID: FloatArray
    query_BQD: FloatArray

    def open(self, costs: FilterCosts | None) -> FaissSearcher:
        return FaissSearcher.open(self.path, "ivf_flat", {"nprobe": 8}, self.item_vectors_ID, costs)

    @functools.cached_property
    def costs(self) -> FilterCosts:
        costs = measure(faiss.read_index(str(self.path)), self)
        assert costs is not None
        return costs


def made(family: str, item_vectors_ID: FloatArray) -> faiss.Index:
    return IndexMaker(item_vectors_ID, 0, unwatched).make(family_named(family))


def measure(index: faiss.Index, indexed: Indexed) -> FilterCosts | None:
    return measure_filter_costs(
        index,
        indexed.item_vectors_ID,
        indexed.query_BQD[:40].reshape(-1, DIMENSION),
        queries_per_call=4,
        count=COUNT,
        recall_target=TARGET,
        seed=0,
        on_progress=unwatched,
    )


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Indexed:
    rng = np.random.default_rng(0)
    centre_CD = rng.normal(size=(CLUSTERS, DIMENSION))

    def around(count: int) -> FloatArray:
        vectors_ND = centre_CD[rng.integers(CLUSTERS, size=count)] + 0.3 * rng.normal(size=(count, DIMENSION))
        unit_ND: FloatArray = (vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)).astype(np.float32)
        return unit_ND

    item_vectors_ID = around(SIZE)
    path = tmp_path_factory.mktemp("index") / "index.faiss"
    faiss.write_index(made("ivf_flat", item_vectors_ID), str(path))
    return Indexed(path, item_vectors_ID, around(320).reshape(80, 4, DIMENSION))


def masks(indexed: Indexed, share: float) -> dict[str, BoolArray]:
    nearness_I = indexed.item_vectors_ID @ indexed.item_vectors_ID[7]
    return {
        "random": np.random.default_rng(1).random(SIZE) < share,
        "near": nearness_I > np.quantile(nearness_I, 1 - share),
        "far": nearness_I < np.quantile(nearness_I, share),
    }


def recall(searcher: FaissSearcher, indexed: Indexed, allowed_I: BoolArray) -> float:
    exact = ExactSearcher(indexed.item_vectors_ID)
    found = []
    for query_QD in indexed.query_BQD[40:]:
        lowest_Q = exact.search(query_QD, COUNT, allowed_I).score_QC[:, -1]
        found.append((searcher.search(query_QD, COUNT, allowed_I).score_QC >= lowest_Q[:, None] - 1e-6).mean())
    return float(np.mean(found))


@pytest.mark.parametrize("share", [0.9, 0.5])
@pytest.mark.parametrize("kind", ["random", "near", "far"])
def test_where_much_is_allowed_the_lists_find_what_was_measured(indexed: Indexed, share: float, kind: str) -> None:
    searcher, allowed_I = indexed.open(indexed.costs), masks(indexed, share)[kind]
    assert searcher.search(indexed.query_BQD[0], COUNT, allowed_I).plan is SearchPlan.LISTS
    assert recall(searcher, indexed, allowed_I) >= TARGET - 0.01


@pytest.mark.parametrize("share", [0.02, 0.005])
@pytest.mark.parametrize("kind", ["random", "near", "far"])
def test_where_little_is_allowed_all_of_it_is_compared_with(indexed: Indexed, share: float, kind: str) -> None:
    searcher, allowed_I = indexed.open(indexed.costs), masks(indexed, share)[kind]
    query_QD = indexed.query_BQD[0]
    hits = searcher.search(query_QD, COUNT, allowed_I)
    assert hits.plan is SearchPlan.SCAN
    expected = ExactSearcher(indexed.item_vectors_ID).search(query_QD, COUNT, allowed_I)
    np.testing.assert_array_equal(hits.row_QC, expected.row_QC)


def test_more_rows_are_wanted_around_a_query_that_asks_for_more(indexed: Indexed) -> None:
    assert indexed.costs.rows_wanted(COUNT) == indexed.costs.rows_wanted(1) == indexed.costs.rows_per_query
    assert indexed.costs.rows_wanted(10 * COUNT) == 10 * indexed.costs.rows_per_query


def test_where_choosing_lists_costs_more_than_it_saves_everything_allowed_is_compared_with(indexed: Indexed) -> None:
    slow = indexed.costs.model_copy(update={"choosing_ns": 1e12})
    allowed_I = masks(indexed, 0.5)["random"]
    assert indexed.open(slow).search(indexed.query_BQD[0], COUNT, allowed_I).plan is SearchPlan.SCAN


def test_without_measured_costs_everything_allowed_is_compared_with(indexed: Indexed) -> None:
    allowed_I = masks(indexed, 0.5)["random"]
    assert indexed.open(None).search(indexed.query_BQD[0], COUNT, allowed_I).plan is SearchPlan.SCAN


def test_a_refinement_around_lists_has_the_lists(indexed: Indexed) -> None:
    trained = faiss.read_index(str(indexed.path))
    trained.reset()
    refined = faiss.IndexRefineFlat(trained)
    refined.add(indexed.item_vectors_ID)
    assert measure(refined, indexed) is not None


@pytest.mark.parametrize("family", ["flat", "pq_fast_scan"])
def test_an_index_without_lists_has_no_costs(indexed: Indexed, family: str) -> None:
    assert measure(made(family, indexed.item_vectors_ID), indexed) is None


def test_the_lists_of_a_lossy_index_have_costs_too(indexed: Indexed) -> None:
    assert measure(made("ivf_pq_fast_scan", indexed.item_vectors_ID), indexed) is not None


def test_lists_that_would_have_to_hold_half_of_everything_have_no_costs(unit_vectors: MakeVectors) -> None:
    """Vectors without clusters: almost all lists are needed to find the nearest rows."""
    item_vectors_ID, query_QD = unit_vectors(2_000, 32, seed=0), unit_vectors(100, 32, seed=1)
    assert (
        measure_filter_costs(
            made("ivf_flat", item_vectors_ID),
            item_vectors_ID,
            query_QD,
            queries_per_call=4,
            count=200,
            recall_target=0.99,
            seed=0,
            on_progress=unwatched,
        )
        is None
    )
