"""Retrieval on the device of an encoder, on the CPU: the graph, its searcher, and a model that searches with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime import OrtValue

from make_exact_search import TARGET, exact_search
from unbraid_core.errors import DeviceUnavailable
from unbraid_core.item_change import Item, ItemChange, ItemVector
from unbraid_core.item_vectors import CompactVectors, compact
from unbraid_core.release import open_release
from unbraid_core.release.layout import USER_ENCODER
from unbraid_core.types import FloatArray, Precision, Query, SearchPlan
from unbraid_index.exact import ExactSearcher
from unbraid_server import device_searcher
from unbraid_server.active_model import ActiveModel
from unbraid_server.bucketed_encoder import BucketedEncoder, Place
from unbraid_server.device import Device, DeviceChoice
from unbraid_server.device_options import CPU_PROVIDER, CUDA_PROVIDER, DeviceOptions, Retrieval
from unbraid_server.device_searcher import DeviceSearcher
from unbraid_server.handover import Handover
from unbraid_server.model import Model, load_model
from unbraid_server.onnx_session import open_session
from unbraid_server.probe import golden_queries, probe
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore

ON_CPU = DeviceChoice(Device.CPU, Device.CPU, "", (CPU_PROVIDER,))
ON_DEVICE = DeviceOptions(retrieval=Retrieval.DEVICE)


@pytest.fixture(scope="module")
def model(release_v1: Path) -> Model:
    """The committed release, searched without its index."""
    return load_model(open_release(release_v1), Device.CPU, options=ON_DEVICE)


def unit_vectors(count: int, seed: int) -> FloatArray:
    vectors_ND = np.random.default_rng(seed).normal(size=(count, 16))
    unit_ND: FloatArray = (vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)).astype(np.float32)
    return unit_ND


def test_the_committed_graph_is_what_its_script_makes() -> None:
    assert onnx.load(TARGET) == exact_search()
    assert device_searcher.GRAPH == TARGET


@pytest.mark.parametrize("queries_at_once", [0, 1, 3])
def test_more_queries_than_fit_at_once_are_answered_alike(queries_at_once: int) -> None:
    vectors_ID, query_QD = unit_vectors(500, 0), unit_vectors(7, 1)
    together = DeviceSearcher(vectors_ID, ON_CPU, Handover()).search(query_QD, 20)
    in_parts = DeviceSearcher(vectors_ID, ON_CPU, Handover(), score_bytes=queries_at_once * 2 * 4 * 500).search(
        query_QD, 20
    )
    np.testing.assert_array_equal(in_parts.row_QC, together.row_QC)
    np.testing.assert_allclose(in_parts.score_QC, together.score_QC, atol=1e-6)


@pytest.mark.parametrize("count", [1, 40, 299, 300])
def test_equal_items_come_back_by_row_however_many_there_are(count: int) -> None:
    vectors_ID = np.tile(unit_vectors(1, 2), (300, 1))
    row_C = DeviceSearcher(vectors_ID, ON_CPU, Handover()).search(vectors_ID[:1], count).row_QC[0]
    np.testing.assert_array_equal(row_C, np.arange(count))


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.INT8])
def test_vectors_of_fewer_bytes_are_compared_as_the_pipeline_sees_them(precision: Precision) -> None:
    vectors = CompactVectors(compact(unit_vectors(300, 3), precision))
    query_QD = unit_vectors(5, 4)
    found, expected = (
        each.search(query_QD, 10) for each in (DeviceSearcher(vectors, ON_CPU, Handover()), ExactSearcher(vectors))
    )
    np.testing.assert_array_equal(found.row_QC, expected.row_QC)
    np.testing.assert_allclose(found.score_QC, expected.score_QC, atol=1e-6)


@pytest.mark.no_gpu
def test_a_gpu_that_cannot_take_the_vectors_is_an_error_of_one_line() -> None:
    on_gpu = DeviceChoice(Device.CUDA, Device.CUDA, "a GPU was found", (CUDA_PROVIDER, CPU_PROVIDER))
    with pytest.raises(DeviceUnavailable, match="device: the GPU cannot be used for retrieval: "):
        DeviceSearcher(unit_vectors(10, 0), on_gpu, Handover())


def test_queries_that_the_encoder_left_on_the_device_are_taken_there() -> None:
    vectors_ID, handover = unit_vectors(50, 5), Handover()
    searcher = DeviceSearcher(vectors_ID, ON_CPU, handover)
    query_QD, left_QD = unit_vectors(3, 6), vectors_ID[[7, 8, 9, 10]]
    query_QD.flags.writeable = False
    # Other numbers than were shown, so that it can be seen which ones were searched for.
    handover.leave(query_QD, OrtValue.ortvalue_from_numpy(left_QD))
    assert searcher.search(query_QD, 1).row_QC[:, 0].tolist() == [7, 8, 9]
    for other_QD in (query_QD[:2], -query_QD, np.concatenate([query_QD, query_QD])):
        expected = ExactSearcher(vectors_ID).search(other_QD, 1)
        np.testing.assert_array_equal(searcher.search(other_QD, 1).row_QC, expected.row_QC)


def test_an_encoder_and_a_searcher_on_one_device_recommend_like_those_of_the_cpu(
    model: Model, release_v1: Path
) -> None:
    spec = model.manifest.encoder
    encoder = BucketedEncoder(open_session(release_v1 / USER_ENCODER, {CPU_PROVIDER: {}}), spec, Place("cpu"))
    searcher = DeviceSearcher(model.released.item_vectors_ID, ON_CPU, encoder.handover)
    together = replace(model.released, encoder=encoder, searcher=searcher)
    queries = golden_queries(model)
    for found, expected in zip(together.recommend(queries), model.released.recommend(queries), strict=True):
        np.testing.assert_array_equal(found.row_R, expected.row_R)
    interests = [each.vectors_KD for each in together.interests(queries) if each is not None]
    assert encoder.handover.find(np.concatenate(interests)) is not None


def test_a_model_recommends_what_exact_search_finds(model: Model) -> None:
    queries = [query for query in golden_queries(model) if len(query.history)]
    for found, expected in zip(
        model.pipeline.recommend(queries), model.exact_pipeline().recommend(queries), strict=True
    ):
        np.testing.assert_array_equal(found.row_R, expected.row_R)
        np.testing.assert_allclose(found.score_R, expected.score_R, atol=1e-5)
        assert found.plan is SearchPlan.SCAN
    assert probe(model) == len(golden_queries(model))


def test_new_and_deleted_items_are_searched_beside_the_graph(model: Model) -> None:
    [query] = golden_queries(model)[1:2]
    everything = replace(query, limit=24, include_seen=True)
    gone, copied = model.catalogue.ids(np.array([0, 1]))
    vector_D = model.released.item_vectors_ID[np.array([1])][0]
    changed = model.with_changes(
        [
            ItemChange(gone, None, sequence=1),
            ItemChange("new", Item("new", "like the second"), ItemVector(model.space_id, vector_D), sequence=2),
        ]
    )
    [row_R] = [ranking.row_R for ranking in changed.pipeline.recommend([everything])]
    listed = changed.catalogue.ids(row_R)
    assert gone not in listed
    assert {"new", copied} <= set(listed)


def test_a_release_that_takes_over_is_searched_like_the_one_before(
    model: Model, release_v1: Path, unchanged: SqliteCatalogueStore
) -> None:
    active = ActiveModel(model, unchanged)
    assert active.activate(open_release(release_v1)).retrieval == model.retrieval
    assert model.retrieval.active is Retrieval.DEVICE


def test_a_query_without_a_history_needs_no_search(model: Model) -> None:
    [ranking] = model.pipeline.recommend([Query(golden_queries(model)[0].history, 1.75e9, 5)])
    assert len(ranking.row_R) == 5
    assert ranking.plan is None
