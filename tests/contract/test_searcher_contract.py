"""What every Searcher promises, run on each implementation over real index files."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faiss
import numpy as np
import pytest

from unbraid_core.errors import InvalidInput
from unbraid_core.ports import Searcher
from unbraid_core.release import FilterCodes, FilterCosts
from unbraid_core.types import BoolArray, FloatArray, SearchHits, SearchPlan
from unbraid_index.exact import ExactSearcher
from unbraid_index.faiss_searcher import FaissSearcher
from unbraid_index.family import family_named
from unbraid_index.live_searcher import LiveSearcher
from unbraid_index.making import IndexMaker
from unbraid_index.progress import unwatched
from unbraid_server.device import Device, DeviceChoice
from unbraid_server.device_options import CPU_PROVIDER, CUDA_PROVIDER
from unbraid_server.device_searcher import DeviceSearcher
from unbraid_server.handover import Handover
from unbraid_training.memo import MemoSearcher

SIZE, DIMENSION = 400, 8

Opener = Callable[[FloatArray, Path], Searcher]


def opener(
    family: str, search_params: dict[str, int], costs: FilterCosts | None = None, codes: FilterCodes | None = None
) -> Opener:
    """Writes an index of a family and memory-maps it."""

    def open_index(item_vectors_ID: FloatArray, folder: Path) -> Searcher:
        path = folder / "index.faiss"
        faiss.write_index(IndexMaker(item_vectors_ID, 0, unwatched).make(family_named(family)), str(path))
        return FaissSearcher.open(path, family, search_params, item_vectors_ID, costs, codes)

    return open_index


def open_live(item_vectors_ID: FloatArray, folder: Path) -> Searcher:
    """Most rows in an index, the others behind it."""
    base = opener("ivf_flat", {"nprobe": 8})(item_vectors_ID[:300], folder)
    return LiveSearcher(base, item_vectors_ID[300:], np.zeros(SIZE, np.bool_))


ON_CPU = DeviceChoice(Device.CPU, Device.CPU, "", (CPU_PROVIDER,))


ON_GPU = DeviceChoice(Device.CUDA, Device.CUDA, "", (CUDA_PROVIDER, CPU_PROVIDER))


def device_opener(device: DeviceChoice) -> Opener:
    """A graph, on the CPU or a GPU."""
    return lambda item_vectors_ID, _: DeviceSearcher(item_vectors_ID, device, Handover())


def live_device_opener(device: DeviceChoice) -> Opener:
    """Most rows in a graph, the others behind it."""
    return lambda item_vectors_ID, _: LiveSearcher(
        DeviceSearcher(item_vectors_ID[:300], device, Handover()), item_vectors_ID[300:], np.zeros(SIZE, np.bool_)
    )


CHEAP_LISTS = FilterCosts(missed_share=0.01, spread_factor=1, usual_ns=50, listed_row_ns=0, scanned_row_ns=1)
CHEAP_CODES = FilterCodes(shortlist_percent=150, least_rows=10, call_ns=0, row_ns=0.1)


OPENERS: dict[str, Opener] = {
    "exact": lambda item_vectors_ID, _: ExactSearcher(item_vectors_ID),
    "device": device_opener(ON_CPU),
    "device, live": live_device_opener(ON_CPU),
    "memo": lambda item_vectors_ID, _: MemoSearcher(ExactSearcher(item_vectors_ID)),
    "flat": opener("flat", {}),
    "flat, cheap codes": opener("flat", {}, None, CHEAP_CODES),
    "live": open_live,
    "fp16": opener("sq_fp16", {"shortlist_percent": 100}),
    "ivf": opener("ivf_flat", {"nprobe": 8}),
    "ivf, one list": opener("ivf_flat", {"nprobe": 1}),
    "ivf, cheap lists": opener("ivf_flat", {"nprobe": 1}, CHEAP_LISTS),
    "ivf, cheap lists and codes": opener("ivf_flat", {"nprobe": 1}, CHEAP_LISTS, CHEAP_CODES),
    "products over lists": opener("ivf_product", {"nprobe": 1}),
    "products over lists, cheap lists": opener("ivf_product", {"nprobe": 4}, CHEAP_LISTS),
    "sq8": opener("ivf_sq8", {"nprobe": 8, "shortlist_percent": 150}),
    "sq8, graph of centroids": opener("ivf_hnsw_sq8", {"nprobe": 1, "shortlist_percent": 100}),
    "fast scan": opener("pq_fast_scan", {"shortlist_percent": 300}),
    "fast scan, one of many lists": opener("ivf_pq_fast_scan", {"nprobe": 1, "shortlist_percent": 100}),
    "fast scan, cheap lists": opener("ivf_pq_fast_scan", {"nprobe": 1, "shortlist_percent": 100}, CHEAP_LISTS),
    "graph": opener("hnsw", {"ef": 16}),
}
GPU_OPENERS: dict[str, Opener] = {"gpu": device_opener(ON_GPU), "gpu, live": live_device_opener(ON_GPU)}


def lattice(count: int, seed: int) -> FloatArray:
    """Vectors of eighths: their inner products are exact in float32, however they are added up, and often equal."""
    eighths_ND = np.random.default_rng(seed).integers(-8, 9, (count, DIMENSION))
    return (eighths_ND / 8).astype(np.float32)


@pytest.fixture(scope="module")
def item_vectors_ID() -> FloatArray:
    vectors_ID = lattice(SIZE, 0)
    vectors_ID[100:150] = vectors_ID[0]
    return vectors_ID


@pytest.fixture(scope="module", params=[*OPENERS, *(pytest.param(name, marks=pytest.mark.gpu) for name in GPU_OPENERS)])
def searcher(
    request: pytest.FixtureRequest, item_vectors_ID: FloatArray, tmp_path_factory: pytest.TempPathFactory
) -> Searcher:
    return {**OPENERS, **GPU_OPENERS}[request.param](item_vectors_ID, tmp_path_factory.mktemp("index"))


def assert_same(one: SearchHits, other: SearchHits) -> None:
    np.testing.assert_array_equal(one.row_QC, other.row_QC)
    np.testing.assert_array_equal(one.score_QC, other.score_QC)


def test_size_is_the_number_of_items(searcher: Searcher) -> None:
    assert searcher.size == SIZE


@pytest.mark.parametrize("count", [1, 7, 250, SIZE])
def test_an_answer_is_full_distinct_and_best_first_with_equal_scores_by_row(searcher: Searcher, count: int) -> None:
    hits = searcher.search(lattice(20, 1), count)

    assert hits.row_QC.shape == hits.score_QC.shape == (20, count)
    assert hits.row_QC.dtype == np.int64
    assert hits.score_QC.dtype == np.float32
    for row_C, score_C in zip(hits.row_QC, hits.score_QC, strict=True):
        assert row_C.min() >= 0
        assert row_C.max() < SIZE
        assert len(set(row_C.tolist())) == count
        assert [*zip(-score_C, row_C, strict=True)] == sorted(zip(-score_C, row_C, strict=True))


def test_a_score_is_the_inner_product_of_its_row(searcher: Searcher, item_vectors_ID: FloatArray) -> None:
    query_QD = lattice(20, 2)
    hits = searcher.search(query_QD, 50)
    np.testing.assert_array_equal(hits.score_QC, np.einsum("qd,qcd->qc", query_QD, item_vectors_ID[hits.row_QC]))


def test_everything_is_found_when_everything_is_asked_for(searcher: Searcher) -> None:
    row_QC = searcher.search(lattice(3, 3), SIZE).row_QC
    np.testing.assert_array_equal(np.sort(row_QC, axis=1), np.tile(np.arange(SIZE), (3, 1)))


def test_an_answer_beyond_the_size_is_padded(searcher: Searcher) -> None:
    query_QD = lattice(3, 4)
    full, padded = searcher.search(query_QD, SIZE), searcher.search(query_QD, SIZE + 5)

    assert_same(SearchHits(padded.row_QC[:, :SIZE], padded.score_QC[:, :SIZE]), full)
    assert (padded.row_QC[:, SIZE:] == -1).all()
    assert (padded.score_QC[:, SIZE:] == -np.inf).all()


def test_an_answer_does_not_depend_on_its_batch(searcher: Searcher) -> None:
    query_QD = lattice(50, 5)
    alone = [searcher.search(query_QD[[q]], 30) for q in range(50)]
    together = searcher.search(query_QD, 30)
    assert_same(
        SearchHits(np.concatenate([hits.row_QC for hits in alone]), np.concatenate([hits.score_QC for hits in alone])),
        together,
    )


def flags(*allowed_rows: int) -> BoolArray:
    return np.isin(np.arange(SIZE), allowed_rows)


ALLOWED: dict[str, BoolArray] = {
    "all": flags(*range(SIZE)),
    "most": flags(*range(10, SIZE)),
    "half": flags(*range(1, SIZE, 2)),
    "equal vectors": flags(*range(95, 155)),
    "few": flags(3, 77, 78, 399),
    "one": flags(120),
    "none": flags(),
}


@pytest.mark.parametrize("allowed_I", ALLOWED.values(), ids=ALLOWED.keys())
@pytest.mark.parametrize("count", [1, 30, SIZE + 5])
def test_only_allowed_rows_come_back_and_a_list_is_short_only_if_fewer_are_allowed(
    searcher: Searcher, item_vectors_ID: FloatArray, allowed_I: BoolArray, count: int
) -> None:
    query_QD = lattice(6, 8)
    hits = searcher.search(query_QD, count, allowed_I)

    assert hits.row_QC.shape == hits.score_QC.shape == (6, count)
    full = min(count, int(allowed_I.sum()))
    assert (hits.row_QC[:, full:] == -1).all()
    assert (hits.score_QC[:, full:] == -np.inf).all()
    for query_D, row_C, score_C in zip(query_QD, hits.row_QC[:, :full], hits.score_QC[:, :full], strict=True):
        assert allowed_I[row_C].all()
        assert len(set(row_C.tolist())) == full
        np.testing.assert_array_equal(score_C, item_vectors_ID[row_C] @ query_D)
        assert [*zip(-score_C, row_C, strict=True)] == sorted(zip(-score_C, row_C, strict=True))


def test_all_rows_allowed_one_by_one_are_found_like_all_rows(searcher: Searcher) -> None:
    query_QD = lattice(20, 9)
    assert_same(searcher.search(query_QD, SIZE, ALLOWED["all"]), searcher.search(query_QD, SIZE))


def test_the_plan_says_whether_rows_were_chosen_among(searcher: Searcher) -> None:
    query_QD = lattice(4, 10)
    assert searcher.search(query_QD, 10, ALLOWED["half"]).plan is not SearchPlan.INDEX
    assert searcher.search(query_QD, 10, ALLOWED["few"]).plan is SearchPlan.SCAN


@pytest.mark.parametrize(
    ("allowed_I", "problem"),
    [
        (np.ones(SIZE + 1, np.bool_), r"allowed: bool \[401\] is not bool \[400\]"),
        (np.ones((1, SIZE), np.bool_), r"allowed: bool \[1, 400\] is not"),
        (np.ones(SIZE, np.int8), r"allowed: int8 \[400\] is not"),
    ],
)
def test_flags_of_another_kind_are_refused(searcher: Searcher, allowed_I: BoolArray, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        searcher.search(lattice(1, 0), 10, allowed_I)


def test_no_query_gives_no_answer(searcher: Searcher) -> None:
    assert searcher.search(np.empty((0, DIMENSION), np.float32), 10).row_QC.shape == (0, 10)


def test_a_view_with_gaps_is_searched_like_its_copy(searcher: Searcher) -> None:
    query_QD = lattice(8, 6)[::2]
    assert_same(searcher.search(query_QD, 10), searcher.search(query_QD.copy(), 10))


def test_threads_get_the_answers_that_one_caller_gets(searcher: Searcher) -> None:
    batches = [lattice(1 + seed % 6, seed) for seed in range(40)]
    expected = [searcher.search(query_QD, 1 + 10 * number) for number, query_QD in enumerate(batches)]

    with ThreadPoolExecutor(8) as threads:
        for _ in range(5):
            answers = threads.map(lambda number: searcher.search(batches[number], 1 + 10 * number), range(40))
            for answer, wanted in zip(answers, expected, strict=True):
                assert_same(answer, wanted)


@pytest.mark.parametrize("count", [0, -1])
def test_a_count_below_one_is_refused(searcher: Searcher, count: int) -> None:
    with pytest.raises(InvalidInput, match=f"count: {count}"):
        searcher.search(lattice(1, 0), count)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_query_that_is_not_finite_is_refused_by_its_position(searcher: Searcher, value: float) -> None:
    query_QD = lattice(3, 7)
    query_QD[2, 5] = value
    with pytest.raises(InvalidInput, match="query: vector 2"):
        searcher.search(query_QD, 10)


@pytest.mark.parametrize("shape", [(DIMENSION,), (2, DIMENSION + 1), (2, 1, DIMENSION)])
def test_a_query_of_another_shape_is_refused(searcher: Searcher, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match=r"query: shape .* is not \[Q, 8\]"):
        searcher.search(np.zeros(shape, np.float32), 10)


def test_a_query_of_another_type_is_refused(searcher: Searcher) -> None:
    with pytest.raises(InvalidInput, match="query: dtype int64"):
        searcher.search(np.zeros((1, DIMENSION), np.int64), 10)
