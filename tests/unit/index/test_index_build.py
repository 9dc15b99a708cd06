from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from unbraid_core.errors import IncompatibleError, InvalidInput
from unbraid_core.types import FloatArray
from unbraid_index.build import IndexSettings, build_index
from unbraid_index.exact import ExactSearcher
from unbraid_index.faiss_searcher import FaissSearcher
from unbraid_index.family import list_count
from unbraid_index.queries import RecallQueries
from unbraid_index.report import IndexReport

MakeVectors = Callable[..., FloatArray]


@dataclass(frozen=True, eq=False)
class Built:
    item_vectors_ID: FloatArray
    path: Path
    report: IndexReport
    steps: dict[str, tuple[int, int]]


def build(item_vectors_ID: FloatArray, query_QD: FloatArray, path: Path, recall_target: float = 0.99) -> Built:
    steps: dict[str, tuple[int, int]] = {}

    def on_progress(step: str, done: int, total: int) -> None:
        assert done <= total
        steps[step] = done, total

    queries = RecallQueries.of_interests(query_QD, seed=0)
    report = build_index(item_vectors_ID, queries, path, IndexSettings(recall_target), on_progress)
    return Built(item_vectors_ID, path, report, steps)


@pytest.fixture(scope="module")
def large(unit_vectors: MakeVectors, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """60,000 clustered items: an IVF."""
    path = tmp_path_factory.mktemp("large") / "index.faiss"
    return build(unit_vectors(60_000, 16, seed=1), unit_vectors(600, 16, seed=2), path)


def true_recall(built: Built, query_QD: FloatArray) -> float:
    """Recall at 200, counted by rows with nothing of the package but the two searchers."""
    spec = built.report.spec
    exact_QC = ExactSearcher(built.item_vectors_ID).search(query_QD, 200).row_QC
    searcher = FaissSearcher.open(built.path, spec.family, spec.search_params, built.item_vectors_ID)
    found_QC = searcher.search(query_QD, 200).row_QC
    return float(
        np.mean([np.isin(exact_C, found_C).mean() for exact_C, found_C in zip(exact_QC, found_QC, strict=True)])
    )


def test_a_small_catalogue_gets_an_exhaustive_index(unit_vectors: MakeVectors, tmp_path: Path) -> None:
    built = build(unit_vectors(1_000, 16, seed=1), unit_vectors(100, 16, seed=2), tmp_path / "index.faiss")

    assert built.report.spec.family == "flat"
    assert built.report.spec.search_params == {}
    assert (built.report.spec.recall_at, built.report.spec.recall, built.report.recall_min) == (200, 1.0, 1.0)
    assert built.report.trials == []
    assert built.report.list_count is None


def test_recall_is_counted_up_to_the_size_of_a_tiny_catalogue(unit_vectors: MakeVectors, tmp_path: Path) -> None:
    items_ID = unit_vectors(1, 4, seed=1)
    queries = RecallQueries.of_items(items_ID, seed=0)
    report = build_index(items_ID, queries, tmp_path / "index.faiss", IndexSettings())
    assert (report.spec.recall_at, report.spec.recall, report.spec.query_source) == (1, 1.0, "item vectors")


def test_a_large_catalogue_gets_an_ivf_that_reaches_the_target_on_queries_it_never_saw(
    large: Built, unit_vectors: MakeVectors
) -> None:
    report = large.report
    assert report.spec.family == "ivf_flat"
    assert report.list_count == list_count(60_000) == 1024
    assert report.spec.recall >= 0.99
    assert report.tuning_query_count == report.held_out_query_count == 300
    # Other queries again: within what sampling explains.
    assert true_recall(large, unit_vectors(200, 16, seed=3)) >= 0.985


def test_nprobe_is_the_smallest_that_assures_the_target(large: Built) -> None:
    assured = {trial.search_params["nprobe"]: trial.assured_recall for trial in large.report.trials}
    chosen = large.report.spec.search_params["nprobe"]
    assert assured[chosen] >= 0.99
    assert assured[chosen - 1] < 0.99
    assert assured[1] < 0.99


def test_the_report_tells_what_the_file_is_and_every_step_was_finished(large: Built) -> None:
    assert large.report.file_size_bytes == large.path.stat().st_size
    assert (large.report.item_count, large.report.dimension) == (60_000, 16)
    assert large.steps["adding vectors"] == (60_000, 60_000)
    assert large.steps["finding exact neighbours"] == (600, 600)
    assert set(large.steps) == {
        "finding exact neighbours",
        "training centroids",
        "adding vectors",
        "tuning nprobe",
        "measuring filters",
    }
    assert all(done == total for done, total in large.steps.values())
    assert IndexReport.model_validate_json(large.report.model_dump_json()) == large.report


def test_the_same_input_gives_the_same_index(large: Built, unit_vectors: MakeVectors, tmp_path: Path) -> None:
    again = build(large.item_vectors_ID, unit_vectors(600, 16, seed=2), tmp_path / "index.faiss")
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (large.path, again.path)}
    assert len(digests) == 1
    # Times differ, and nothing else.
    timeless = {"filter_costs": {"choosing_ns", "listed_row_ns", "scanned_row_ns"}}
    assert again.report.spec.model_dump(exclude=timeless) == large.report.spec.model_dump(exclude=timeless)


def test_an_ivf_that_would_cost_more_than_exhaustive_search_is_not_built(
    unit_vectors: MakeVectors, tmp_path: Path
) -> None:
    """Without clusters in 48 dimensions a quarter of the lists does not hold the neighbours."""
    items_ID = unit_vectors(50_001, 48, seed=1, clusters=1, spread=50.0)
    built = build(items_ID, unit_vectors(100, 48, seed=2, clusters=1, spread=50.0), tmp_path / "index.faiss")

    assert built.report.spec.family == "flat"
    assert built.report.spec.recall == 1.0
    assert "exhaustive search costs less" in built.report.reason
    assert max(trial.search_params["nprobe"] for trial in built.report.trials) == 1024 // 4


def test_items_that_score_the_same_stand_for_each_other(tmp_path: Path) -> None:
    """1000 copies of one vector: any 200 of them are a perfect answer."""
    items_ID = np.tile(np.array([[1.0, 0.0]], np.float32), (1_000, 1))
    report = build_index(items_ID, RecallQueries.of_items(items_ID, 0), tmp_path / "index.faiss", IndexSettings())
    assert report.spec.recall == 1.0


def test_vectors_too_long_for_float32_are_refused_with_what_was_reached(
    unit_vectors: MakeVectors, tmp_path: Path
) -> None:
    items_ID = unit_vectors(2_000, 16, seed=1) * np.float32(1e6)
    with pytest.raises(IncompatibleError, match=r"recall@200 0\.\d+, less than the target 1\.0.*unit length"):
        build(items_ID, unit_vectors(100, 16, seed=2) * np.float32(1e6), tmp_path / "index.faiss", recall_target=1.0)


@pytest.mark.parametrize("target", [0.0, -0.1, 1.01, float("nan")])
def test_an_impossible_target_is_refused(target: float) -> None:
    with pytest.raises(InvalidInput, match="recall_target"):
        IndexSettings(target)


@pytest.mark.parametrize(("item_count", "lists"), [(50_001, 1024), (100_000, 1024), (1_000_000, 4096)])
def test_the_number_of_lists_grows_with_the_root_of_the_items(item_count: int, lists: int) -> None:
    assert list_count(item_count) == lists
