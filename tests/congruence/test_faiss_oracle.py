"""FAISS and the graph of exact search against the NumPy oracle, on catalogues with duplicates and near duplicates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid_core.ports import Searcher
from unbraid_core.types import DoubleArray, FloatArray
from unbraid_index.exact import ExactSearcher
from unbraid_index.faiss_searcher import FaissSearcher
from unbraid_index.family import family_named, list_count
from unbraid_index.making import IndexMaker
from unbraid_index.progress import unwatched
from unbraid_server.device import Device, DeviceChoice
from unbraid_server.device_options import CPU_PROVIDER
from unbraid_server.device_searcher import DeviceSearcher
from unbraid_server.handover import Handover

TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class Case:
    item_vectors_ID: FloatArray
    query_QD: FloatArray
    count: int


@st.composite
def cases(draw: st.DrawFn, smallest: int) -> Case:
    """Unit vectors around a few originals, from exact copies to far apart; some queries are items themselves."""
    size = draw(st.integers(smallest, 300))
    dimension = draw(st.integers(1, 16))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    originals = rng.normal(size=(draw(st.integers(1, size)), dimension))
    spread = draw(st.sampled_from([0.0, 1e-7, 1e-6, 1e-5, 1e-2, 1.0]))
    items_ID = originals[rng.integers(0, len(originals), size)] + spread * rng.normal(size=(size, dimension))
    queries = [rng.normal(size=(draw(st.integers(0, 30)), dimension)), items_ID[: draw(st.integers(1, 3))]]
    return Case(unit(items_ID), unit(np.concatenate(queries)), draw(st.integers(1, 400)))


def unit(vectors_ND: DoubleArray) -> FloatArray:
    unit_ND: FloatArray = (vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)).astype(np.float32)
    return unit_ND


def searcher(family: str, search_params: dict[str, int], case: Case) -> FaissSearcher:
    index = IndexMaker(case.item_vectors_ID, 0, unwatched).make(family_named(family))
    return FaissSearcher(index, family_named(family), search_params, case.item_vectors_ID)


def assert_congruent(searcher: Searcher, case: Case) -> None:
    """Equal scores up to rounding, and equal rows except where rounding may order or cut them differently."""
    exact = ExactSearcher(case.item_vectors_ID).search(case.query_QD, case.count)
    found = searcher.search(case.query_QD, case.count)

    np.testing.assert_allclose(found.score_QC, exact.score_QC, rtol=0, atol=TOLERANCE)
    for q in range(len(case.query_QD)):
        certain = exact.score_QC[q] > exact.score_QC[q].min() + TOLERANCE
        if exact.row_QC[q, -1] < 0 or case.count == len(case.item_vectors_ID):
            certain = np.ones(case.count, np.bool_)
        assert set(exact.row_QC[q, certain].tolist()) <= set(found.row_QC[q].tolist())


@settings(max_examples=150, deadline=None)
@given(cases(smallest=1))
def test_flat_is_congruent_with_the_oracle(case: Case) -> None:
    assert_congruent(searcher("flat", {}, case), case)


@settings(max_examples=50, deadline=None)
@given(cases(smallest=64))
def test_ivf_that_scans_all_lists_is_congruent_with_the_oracle(case: Case) -> None:
    lists = list_count(len(case.item_vectors_ID))
    assert_congruent(searcher("ivf_flat", {"nprobe": lists}, case), case)
    assert_congruent(searcher("ivf_product", {"nprobe": lists // 4}, case), case)


@settings(max_examples=50, deadline=None)
@given(cases(smallest=64), st.sampled_from(["ivf_sq8", "ivf_hnsw_sq8", "ivf_pq_fast_scan"]))
def test_a_lossy_family_that_proposes_everything_is_congruent_with_the_oracle(case: Case, family: str) -> None:
    """However coarse its codes are: the scores come from the item vectors."""
    everything = {"nprobe": list_count(len(case.item_vectors_ID)), "shortlist_percent": 100 * len(case.item_vectors_ID)}
    assert_congruent(searcher(family, everything, case), case)


@settings(max_examples=100, deadline=None)
@given(cases(smallest=1))
def test_the_graph_is_congruent_with_the_oracle(case: Case) -> None:
    device = DeviceChoice(Device.CPU, Device.CPU, "", (CPU_PROVIDER,))
    assert_congruent(DeviceSearcher(case.item_vectors_ID, device, Handover()), case)


@settings(max_examples=50, deadline=None)
@given(cases(smallest=1))
def test_the_oracle_is_congruent_with_sorting_everything(case: Case) -> None:
    found = ExactSearcher(case.item_vectors_ID).search(case.query_QD, case.count)
    score_QI = case.query_QD @ case.item_vectors_ID.T
    order_QI = np.argsort(-score_QI, axis=1, kind="stable")[:, : case.count]
    np.testing.assert_array_equal(found.row_QC[:, : order_QI.shape[1]], order_QI)
