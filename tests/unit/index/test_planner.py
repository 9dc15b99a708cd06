"""The planner: which way a search among allowed rows goes, and that it finds as much as was measured."""

from __future__ import annotations

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
from unbraid_index.filter_cases import FilterCases
from unbraid_index.filter_costs import measure_filter_costs
from unbraid_index.lists import RowLists
from unbraid_index.making import IndexMaker
from unbraid_index.progress import unwatched

SIZE, DIMENSION, CLUSTERS, COUNT, TARGET = 12_000, 16, 60, 20, 0.97

MakeVectors = Callable[..., FloatArray]


COSTS = FilterCosts(missed_share=0.01, spread_factor=1.0, usual_ns=500.0, listed_row_ns=0.1, scanned_row_ns=1.0)
"""A scan pays where fewer than 500 rows are allowed."""


@dataclass(frozen=True, eq=False)
class Indexed:
    """An IVF in a file over clustered vectors, and queries of the same kind."""

    path: Path
    item_vectors_ID: FloatArray
    query_BQD: FloatArray

    def open(self, costs: FilterCosts | None = COSTS) -> FaissSearcher:
        return FaissSearcher.open(self.path, "ivf_flat", {"nprobe": 8}, self.item_vectors_ID, costs)


def made(family: str, item_vectors_ID: FloatArray) -> faiss.Index:
    return IndexMaker(item_vectors_ID, 0, unwatched).make(family_named(family))


def measure(index: faiss.Index, item_vectors_ID: FloatArray, query_QD: FloatArray) -> FilterCosts | None:
    cases = FilterCases.of(item_vectors_ID, query_QD, queries_per_call=4, count=COUNT, seed=0, on_progress=unwatched)
    assert cases is not None
    return measure_filter_costs(index, item_vectors_ID, cases, TARGET)


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
    searcher, allowed_I = indexed.open(), masks(indexed, share)[kind]
    assert searcher.search(indexed.query_BQD[0], COUNT, allowed_I).plan is SearchPlan.LISTS
    assert recall(searcher, indexed, allowed_I) >= TARGET - 0.01


@pytest.mark.parametrize("share", [0.06, 0.02, 0.005])
@pytest.mark.parametrize("kind", ["random", "near", "far"])
def test_where_little_is_allowed_all_of_it_is_compared_with(indexed: Indexed, share: float, kind: str) -> None:
    searcher, allowed_I = indexed.open(), masks(indexed, share)[kind]
    query_QD = indexed.query_BQD[0]
    hits = searcher.search(query_QD, COUNT, allowed_I)
    assert hits.plan is SearchPlan.SCAN
    expected = ExactSearcher(indexed.item_vectors_ID).search(query_QD, COUNT, allowed_I)
    np.testing.assert_array_equal(hits.row_QC, expected.row_QC)


def test_a_region_without_a_query_is_reached(indexed: Indexed) -> None:
    """Nothing near the queries is allowed: the lists that hold anything are far away, and are found."""
    query_QD = np.tile(indexed.item_vectors_ID[:1], (4, 1))
    nearness_I = indexed.item_vectors_ID @ query_QD[0]
    allowed_I = nearness_I < np.median(nearness_I)
    hits = indexed.open().search(query_QD, COUNT, allowed_I)
    expected = ExactSearcher(indexed.item_vectors_ID).search(query_QD, COUNT, allowed_I)
    assert np.isin(hits.row_QC, expected.row_QC).mean() >= TARGET


def test_equal_scores_are_ordered_by_row_wherever_they_were_found(indexed: Indexed) -> None:
    hits = indexed.open().search(indexed.query_BQD[0], COUNT, masks(indexed, 0.5)["random"])
    for row_C, score_C in zip(hits.row_QC, hits.score_QC, strict=True):
        assert [*zip(-score_C, row_C, strict=True)] == sorted(zip(-score_C, row_C, strict=True))


def test_where_lists_usually_cost_more_everything_allowed_is_compared_with(indexed: Indexed) -> None:
    slow = COSTS.model_copy(update={"usual_ns": 1e12})
    allowed_I = masks(indexed, 0.5)["random"]
    assert indexed.open(slow).search(indexed.query_BQD[0], COUNT, allowed_I).plan is SearchPlan.SCAN


def test_where_looking_further_costs_more_everything_allowed_is_compared_with(indexed: Indexed) -> None:
    wary = COSTS.model_copy(update={"missed_share": 1e-12, "listed_row_ns": 100.0})
    allowed_I = masks(indexed, 0.5)["random"]
    assert indexed.open(wary).search(indexed.query_BQD[0], COUNT, allowed_I).plan is SearchPlan.SCAN


def test_without_measured_costs_everything_allowed_is_compared_with(indexed: Indexed) -> None:
    allowed_I = masks(indexed, 0.5)["random"]
    assert indexed.open(None).search(indexed.query_BQD[0], COUNT, allowed_I).plan is SearchPlan.SCAN


def test_a_refinement_around_lists_has_the_lists(indexed: Indexed) -> None:
    trained = faiss.read_index(str(indexed.path))
    trained.reset()
    refined = faiss.IndexRefineFlat(trained)
    refined.add(indexed.item_vectors_ID)
    lists = RowLists.of(refined, indexed.item_vectors_ID)
    assert lists is not None
    np.testing.assert_array_equal(np.sort(np.concatenate(lists.rows)), np.arange(SIZE))


def test_a_transformed_space_has_no_lists_of_its_own(indexed: Indexed) -> None:
    transformed = faiss.IndexPreTransform(faiss.PCAMatrix(DIMENSION, 8), faiss.index_factory(8, "IVF4,Flat"))
    assert RowLists.of(transformed, indexed.item_vectors_ID) is None


def test_an_index_without_lists_has_no_costs(indexed: Indexed) -> None:
    query_QD = indexed.query_BQD.reshape(-1, DIMENSION)
    assert measure(made("flat", indexed.item_vectors_ID), indexed.item_vectors_ID, query_QD) is None


def test_lists_that_save_nothing_have_no_costs(unit_vectors: MakeVectors) -> None:
    """Vectors without clusters: almost all lists are needed to find the nearest rows."""
    item_vectors_ID, query_QD = unit_vectors(2_000, 32, seed=0), unit_vectors(100, 32, seed=1)
    assert measure(made("ivf_flat", item_vectors_ID), item_vectors_ID, query_QD) is None


def test_what_was_measured_reaches_the_recall_that_was_asked_for(indexed: Indexed) -> None:
    """It depends on the machine whether lists save time on so few items; either way the recall is there."""
    index = faiss.read_index(str(indexed.path))
    searcher = indexed.open(measure(index, indexed.item_vectors_ID, indexed.query_BQD[:40].reshape(-1, DIMENSION)))
    for allowed_I in masks(indexed, 0.5).values():
        assert recall(searcher, indexed, allowed_I) >= TARGET - 0.01
