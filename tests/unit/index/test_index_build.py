from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import pytest

from unbraid_core.errors import IncompatibleError, InvalidInput
from unbraid_core.item_vectors import CompactVectors, compact
from unbraid_core.scoring import quotas
from unbraid_core.types import DoubleArray, FloatArray, IntArray, Precision, Scoring
from unbraid_index.build import IndexSettings, build_index
from unbraid_index.exact import ExactSearcher
from unbraid_index.faiss_searcher import FaissSearcher
from unbraid_index.family import FAMILIES, family_named, list_count
from unbraid_index.making import IndexMaker
from unbraid_index.plot import trials_svg
from unbraid_index.progress import unwatched
from unbraid_index.queries import RecallQueries
from unbraid_index.report import Entry, IndexReport

INTERESTS = 4
SCORING = Scoring(0.1, 1.0, 1.0, 1.0, 1e6, 1e6, candidate_count=400, quota_alpha=0.5, quota_min=20)

MakeVectors = Callable[..., FloatArray]


@dataclass(frozen=True, eq=False)
class Users:
    vectors_UKD: FloatArray
    log_share_UK: DoubleArray

    @classmethod
    def around(cls, vectors_QD: FloatArray, seed: int) -> Users:
        """The vectors as interests of users whose shares differ."""
        vectors_UKD = vectors_QD.reshape(-1, INTERESTS, vectors_QD.shape[1])
        shares_UK = np.random.default_rng(seed).dirichlet(np.ones(INTERESTS), len(vectors_UKD))
        return cls(vectors_UKD, np.log(shares_UK))

    @property
    def queries(self) -> RecallQueries:
        return RecallQueries.of_users(self.vectors_UKD, self.log_share_UK, SCORING, seed=0)


@dataclass(frozen=True, eq=False)
class Built:
    item_vectors_ID: FloatArray
    path: Path
    report: IndexReport
    steps: dict[str, tuple[int, int]]

    @property
    def entries(self) -> dict[str, Entry]:
        return {entry.family: entry for entry in self.report.entries}

    def open(self) -> FaissSearcher:
        spec = self.report.spec
        return FaissSearcher.open(self.path, spec.family, spec.search_params, self.item_vectors_ID)


def build(
    item_vectors_ID: FloatArray, query_QD: FloatArray, path: Path, settings: IndexSettings | None = None
) -> Built:
    steps: dict[str, tuple[int, int]] = {}

    def on_progress(step: str, done: int, total: int) -> None:
        assert done <= total
        steps[step] = done, total

    queries = Users.around(query_QD, seed=0).queries
    report = build_index(item_vectors_ID, queries, path, settings or IndexSettings(), on_progress)
    return Built(item_vectors_ID, path, report, steps)


@pytest.fixture(scope="module")
def large(unit_vectors: MakeVectors, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """20,000 clustered items: every family but the one for a million is tried."""
    path = tmp_path_factory.mktemp("large") / "index.faiss"
    return build(unit_vectors(20_000, 16, seed=1), unit_vectors(800, 16, seed=2), path)


def rows_in_quotas(row_KC: IntArray, quota_K: IntArray) -> set[int]:
    return {int(row) for row_C, quota in zip(row_KC, quota_K, strict=True) for row in row_C[:quota] if row >= 0}


def merged_recall(built: Built, users: Users) -> float:
    """Counted with sets, and with nothing of the package but the two searchers and the quotas."""
    exact, searcher, recalls = ExactSearcher(built.item_vectors_ID), built.open(), []
    for vectors_KD, log_share_K in zip(users.vectors_UKD, users.log_share_UK, strict=True):
        quota_K = quotas(log_share_K, SCORING)
        wanted = rows_in_quotas(exact.search(vectors_KD, int(quota_K.max())).row_QC, quota_K)
        found = rows_in_quotas(searcher.search(vectors_KD, int(quota_K.max())).row_QC, quota_K)
        recalls.append(len(wanted & found) / len(wanted))
    return float(np.mean(recalls))


def test_a_small_catalogue_gets_an_exhaustive_index(unit_vectors: MakeVectors, tmp_path: Path) -> None:
    built = build(unit_vectors(900, 16, seed=1), unit_vectors(100, 16, seed=2), tmp_path / "index.faiss")

    assert built.report.spec.family in {"flat", "sq_fp16"}
    assert (built.report.spec.recall, built.report.recall_min) == (1.0, 1.0)
    assert built.entries["pq_fast_scan"].reason == "fewer than 1,000 items"
    assert built.report.spec.filter_costs is None


def test_recall_is_counted_up_to_the_size_of_a_tiny_catalogue(unit_vectors: MakeVectors, tmp_path: Path) -> None:
    items_ID = unit_vectors(1, 4, seed=1)
    queries = RecallQueries.of_items(items_ID, INTERESTS, SCORING, seed=0)
    report = build_index(items_ID, queries, tmp_path / "index.faiss", IndexSettings())
    assert (report.spec.recall, report.spec.query_source) == (1.0, "item vectors")


def test_what_is_chosen_reaches_the_target_with_users_it_never_saw(large: Built, unit_vectors: MakeVectors) -> None:
    spec = large.report.spec
    assert spec.recall_lower_bound is not None
    assert 0.99 <= spec.recall_lower_bound <= spec.recall
    assert large.report.tuning_user_count == large.report.held_out_user_count == 100
    # Other users again: within what sampling explains.
    assert merged_recall(large, Users.around(unit_vectors(400, 16, seed=3), seed=3)) >= 0.985


def test_every_family_has_an_entry_and_one_is_chosen(large: Built) -> None:
    assert list(large.entries) == [family.name for family in FAMILIES]
    chosen = [entry for entry in large.report.entries if entry.outcome == "chosen"]
    assert [entry.family for entry in chosen] == [large.report.spec.family]
    assert chosen[0].tuned is not None
    assert chosen[0].tuned.search_params == large.report.spec.search_params
    assert chosen[0].size_bytes == large.report.file_size_bytes == large.path.stat().st_size
    assert large.entries["ivf_hnsw_sq8"].reason == "fewer than 1,000,000 items"
    assert all(entry.reason for entry in large.report.entries)
    assert {path.name for path in large.path.parent.iterdir()} == {"index.faiss"}


def test_a_setting_is_chosen_only_where_it_reached_the_target_and_less_did_not(large: Built) -> None:
    target = large.report.recall_target
    trials = [trial for trial in large.report.trials if trial.family == "ivf_flat"]
    enough = {trial.search_params["nprobe"] for trial in trials if trial.lower_bound >= target}
    too_few = {trial.search_params["nprobe"] for trial in trials if trial.lower_bound < target}
    assert too_few
    assert not enough or max(too_few) < min(enough)
    tuned = [entry.tuned for entry in large.report.entries if entry.tuned is not None]
    assert len(tuned) >= 3
    assert all(trial.lower_bound >= target for trial in tuned)


def test_the_report_tells_what_the_file_is_and_every_step_was_finished(large: Built) -> None:
    report = large.report
    assert (report.item_count, report.dimension, report.interest_count) == (20_000, 16, INTERESTS)
    assert report.norm_spread == pytest.approx(1.0, abs=1e-5)
    assert large.steps["flat: adding vectors"] == (20_000, 20_000)
    assert large.steps["finding exact neighbours"] == (200, 200)
    assert all(done == total for done, total in large.steps.values())
    assert IndexReport.model_validate_json(report.model_dump_json()) == report


def test_the_plot_has_a_point_for_each_trial_and_a_ring_around_the_chosen(large: Built) -> None:
    svg = "{http://www.w3.org/2000/svg}"
    root = ET.fromstring(trials_svg(large.report))
    circles = root.findall(f".//{svg}circle")
    assert sum(circle.get("r") == "3.5" for circle in circles) == len(large.report.trials)
    assert sum(circle.get("fill") == "none" for circle in circles) == 1
    assert {text.text for text in root.findall(f".//{svg}text")} >= {trial.family for trial in large.report.trials}


@pytest.mark.parametrize("family", [family.name for family in FAMILIES])
def test_the_same_vectors_give_the_same_index(family: str, unit_vectors: MakeVectors) -> None:
    items_ID = unit_vectors(3_000, 16, seed=1)
    digests = {
        faiss.serialize_index(IndexMaker(items_ID, 0, unwatched).make(family_named(family))).tobytes() for _ in range(2)
    }
    assert len(digests) == 1


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.INT8])
def test_a_lossy_family_scores_by_compact_vectors_as_the_oracle_does(
    precision: Precision, unit_vectors: MakeVectors
) -> None:
    vectors, query_QD = CompactVectors(compact(unit_vectors(2_000, 16, seed=1), precision)), unit_vectors(4, 16, seed=2)
    family = family_named("pq_fast_scan")
    searcher = FaissSearcher(
        IndexMaker(vectors, 0, unwatched).make(family), family, {"shortlist_percent": 400}, vectors
    )
    found, expected = searcher.search(query_QD, 100), ExactSearcher(vectors).search(query_QD, 100)
    np.testing.assert_allclose(found.score_QC, expected.score_QC, atol=1e-6)


def test_lists_lose_where_there_are_no_clusters(unit_vectors: MakeVectors, tmp_path: Path) -> None:
    items_ID = unit_vectors(10_000, 48, seed=1, clusters=1, spread=50.0)
    built = build(items_ID, unit_vectors(200, 48, seed=2, clusters=1, spread=50.0), tmp_path / "index.faiss")
    assert built.report.spec.family in {"flat", "sq_fp16", "pq_fast_scan"}
    assert built.report.spec.recall >= 0.99


def test_items_that_score_the_same_stand_for_each_other(tmp_path: Path) -> None:
    """900 copies of one vector: any of them are a perfect answer."""
    items_ID = np.tile(np.array([[1.0, 0.0]], np.float32), (900, 1))
    queries = RecallQueries.of_items(items_ID, INTERESTS, SCORING, 0)
    assert build_index(items_ID, queries, tmp_path / "index.faiss", IndexSettings()).spec.recall == 1.0


def test_no_graph_is_tried_where_norms_differ() -> None:
    graph = family_named("hnsw")
    assert graph.ruled_out(100_000, norm_spread=1.0) is None
    assert graph.ruled_out(100_000, norm_spread=3.0) == "the longest vector is 3.00 times the shortest"


def test_the_spread_of_norms_is_detected_and_the_target_reached(unit_vectors: MakeVectors, tmp_path: Path) -> None:
    items_ID = unit_vectors(3_000, 8, seed=1)
    items_ID[::2] *= np.float32(3.0)
    built = build(items_ID, unit_vectors(200, 8, seed=2), tmp_path / "index.faiss")
    assert built.report.norm_spread == pytest.approx(3.0, abs=1e-3)
    assert built.report.spec.recall >= 0.99


def test_a_target_that_nothing_within_the_budget_reaches_is_refused_with_what_was_reached(
    unit_vectors: MakeVectors, tmp_path: Path
) -> None:
    """Items so close to each other that their codes are equal, and no memory for more than codes."""
    items_ID = unit_vectors(20_000, 64, seed=1, clusters=5, spread=1e-3)
    queries_QD = unit_vectors(100, 64, seed=2, clusters=5, spread=1e-3)
    with pytest.raises(IncompatibleError, match=r"fast_scan comes nearest with merged recall 0\.\d+, .*target 0\.99"):
        build(items_ID, queries_QD, tmp_path / "index.faiss", IndexSettings(0.99, 1))


def test_what_is_chosen_fits_the_memory_budget(unit_vectors: MakeVectors, tmp_path: Path) -> None:
    items_ID = unit_vectors(20_000, 32, seed=1)
    built = build(items_ID, unit_vectors(100, 32, seed=2), tmp_path / "index.faiss", IndexSettings(0.9, 1))
    assert built.report.file_size_bytes < 1_000_000
    assert built.entries["flat"].reason == "over the budget of 1 MB"


def test_a_budget_that_no_index_fits_is_refused(unit_vectors: MakeVectors, tmp_path: Path) -> None:
    items_ID = unit_vectors(100_000, 32, seed=1)
    with pytest.raises(InvalidInput, match=r"memory_budget_mb: 1 MB hold no index over 100,000 items.*takes 1\.6"):
        build(items_ID, unit_vectors(100, 32, seed=2), tmp_path / "index.faiss", IndexSettings(0.9, 1))


@pytest.mark.parametrize("target", [0.0, -0.1, 1.01, float("nan")])
def test_an_impossible_target_is_refused(target: float) -> None:
    with pytest.raises(InvalidInput, match="recall_target"):
        IndexSettings(target)


@pytest.mark.parametrize(("item_count", "lists"), [(50_001, 1024), (100_000, 1024), (1_000_000, 4096)])
def test_the_number_of_lists_grows_with_the_root_of_the_items(item_count: int, lists: int) -> None:
    assert list_count(item_count) == lists


def peak_bytes(item_count: int, folder: Path) -> int:
    """How much memory of its own a process takes at most, beyond what it had, to make an index over a file."""
    path = folder / f"{item_count}.npy"
    vectors_ID = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(item_count, 32))
    vectors_ID[:] = np.arange(item_count)[:, None] % np.arange(97, 129)
    vectors_ID.flush()
    code = """
        import sys, threading
        import numpy as np
        from unbraid_index.family import family_named
        from unbraid_index.making import IndexMaker
        from unbraid_index.progress import unwatched

        def own_bytes():
            lines = open("/proc/self/status").read().splitlines()
            return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))

        def watch():
            while not done.wait(0.001):
                seen.append(own_bytes())

        vectors_ID = np.asarray(np.lib.format.open_memmap(sys.argv[1], mode="r"))
        seen, done = [own_bytes()], threading.Event()
        watcher = threading.Thread(target=watch)
        watcher.start()
        IndexMaker(vectors_ID, 0, unwatched).make(family_named("pq_fast_scan"))
        done.set()
        watcher.join()
        print(max(seen) - seen[0])
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    return int(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_memory_to_make_an_index_grows_with_the_index_and_not_with_the_vectors(tmp_path: Path) -> None:
    """400,000 vectors more are 51 MB; their codes are 10 MB, and twice that for a moment while an array grows."""
    grown = peak_bytes(500_000, tmp_path) - peak_bytes(100_000, tmp_path)
    assert grown < 2 * family_named("pq_fast_scan").size_bytes(400_000, 32) + 8_000_000
