"""Recall of live questions: what is sampled, what is found, and when a rebuild is due."""

from __future__ import annotations

import gc
import math
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client.parser import text_string_to_metric_families

from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1 import status_pb2
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid.v1.status_pb2_grpc import StatusServiceStub
from unbraid_core.errors import Unavailable
from unbraid_core.ports import Searcher
from unbraid_core.release import open_release
from unbraid_core.types import BoolArray, FloatArray, History, Query, SearchHits
from unbraid_server.active_model import ActiveModel
from unbraid_server.device import Device
from unbraid_server.logs import open_log
from unbraid_server.model import Model, load_model
from unbraid_server.recall_monitor import RecallMonitor, RecallSummary
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore

TIMEOUT_S = 20.0
NOW_S = 1_767_500_000


class Forgetful:
    """Finds even rows only, as an index would that has lost half of its lists."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher

    @property
    def size(self) -> int:
        return self._searcher.size

    def search(self, query_QD: FloatArray, count: int, allowed_I: BoolArray | None = None) -> SearchHits:
        even_I = np.arange(self.size) % 2 == 0
        return self._searcher.search(query_QD, count, even_I if allowed_I is None else even_I & allowed_I)


@pytest.fixture
def forgetful(model_v1: Model) -> Model:
    """Another release with the same items, four candidates a question and an index that finds half of them."""
    pipeline = model_v1.pipeline
    scoring = replace(pipeline.scoring, candidate_count=4)
    manifest = model_v1.manifest.model_copy(update={"release_id": "forgetful"})
    forgetful = replace(pipeline, searcher=Forgetful(pipeline.searcher), scoring=scoring)
    return replace(model_v1, manifest=manifest, pipeline=forgetful)


@contextmanager
def monitoring(sample_share: float = 1.0) -> Iterator[RecallMonitor]:
    monitor = RecallMonitor(sample_share, cpu_share=1.0)
    monitor.start()
    try:
        yield monitor
    finally:
        monitor.stop()


def question(seed: int) -> Query:
    rng = np.random.default_rng(seed)
    times_s = NOW_S - rng.integers(1, 10**6, 5).astype(np.float64)
    return Query(History(rng.integers(0, 24, 5), np.sort(times_s), np.zeros(5, np.int64)), NOW_S, limit=3)


def ask(monitor: RecallMonitor, model: Model, count: int) -> RecallSummary:
    """Offer questions until that many were compared; what the monitor is too busy for it drops."""
    until_s = time.monotonic() + TIMEOUT_S
    for seed in range(10**6):
        query = question(seed)
        monitor.offer(model, query, *model.pipeline.recommend([query]))
        summary = monitor.summary(model)
        if summary.sample_count >= count:
            return summary
        assert time.monotonic() < until_s
    raise AssertionError


def test_an_exact_index_finds_everything(model_v1: Model) -> None:
    with monitoring() as monitor:
        summary = ask(monitor, model_v1, 100)
    assert (summary.recall, summary.recall_p05, summary.fill_rate) == (1.0, 1.0, 1.0)
    assert summary.rebuild_reason == ""


def test_an_index_that_lost_rows_is_found_out(forgetful: Model) -> None:
    with monitoring() as monitor:
        summary = ask(monitor, forgetful, 99)
        assert summary.recall < 0.9
        assert summary.recall_p05 <= summary.recall
        if summary.sample_count < 100:
            assert summary.rebuild_reason == "", "few questions prove nothing"
        summary = ask(monitor, forgetful, 120)
    assert summary.rebuild_reason.startswith(f"merged recall of {summary.sample_count} live questions is 0.")


def test_another_release_starts_anew(model_v1: Model, forgetful: Model) -> None:
    with monitoring() as monitor:
        ask(monitor, forgetful, 50)
        summary = ask(monitor, model_v1, 1)
        assert (summary.release_id, summary.recall) == (model_v1.release_id, 1.0)
        assert monitor.summary(forgetful).sample_count == 0


def test_without_a_share_nothing_is_sampled(model_v1: Model) -> None:
    with monitoring(sample_share=0.0) as monitor:
        for seed in range(200):
            monitor.offer(model_v1, question(seed), *model_v1.pipeline.recommend([question(seed)]))
    summary = monitor.summary(model_v1)
    assert (summary.sample_count, summary.rebuild_reason) == (0, "")
    assert math.isnan(summary.recall)


def test_questions_that_wait_do_not_keep_a_model_alive(release_v1: Path, model_v1: Model) -> None:
    model = load_model(open_release(release_v1), Device.CPU)
    monitor = RecallMonitor(1.0)
    for seed in range(30):
        monitor.offer(model, question(seed), *model.pipeline.recommend([question(seed)]))
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    monitor.start()
    monitor.stop()
    assert monitor.summary(model_v1).sample_count == 0


def test_prometheus_and_status_tell_of_calls_and_recall(
    model_v1: Model, state_v1: SqliteStateStore, unchanged: SqliteCatalogueStore
) -> None:
    settings = ServerSettings(port=0, recall_sample_share=1.0)
    server = Server(ActiveModel(model_v1, unchanged), state_v1, settings, open_log("error"))
    metrics_port = server.metrics.listen("127.0.0.1", 0)
    history = pb.History(events=[pb.Event(item_id="k01", event_time=Timestamp(seconds=NOW_S), action="view")])
    try:
        with grpc.insecure_channel(f"127.0.0.1:{server.start()}") as channel:
            stub = RecommendationServiceStub(channel)
            for _ in range(3):
                stub.Recommend(pb.RecommendRequest(history=history))
            with pytest.raises(grpc.RpcError):
                stub.Recommend(pb.RecommendRequest(history=history, limit=-1))
            status = StatusServiceStub(channel)
            until_s = time.monotonic() + TIMEOUT_S
            while (recall := status.GetStatus(status_pb2.GetStatusRequest()).live_recall).sample_count == 0:
                assert time.monotonic() < until_s
        with urlopen(f"http://127.0.0.1:{metrics_port}/metrics") as page:
            found = {
                (sample.name, *sorted(sample.labels.values())): sample.value
                for family in text_string_to_metric_families(page.read().decode())
                for sample in family.samples
            }
    finally:
        server.stop(grace_s=0)
    assert (recall.merged_recall, recall.merged_recall_p05, recall.rebuild_reason) == (1.0, 1.0, "")
    method = "/unbraid.v1.RecommendationService/Recommend"
    assert found["unbraid_calls_total", method, "OK"] == 3
    assert found["unbraid_calls_total", method, "INVALID_ARGUMENT"] == 1
    assert found["unbraid_call_duration_seconds_count", method] == 4
    assert found["unbraid_release", model_v1.release_id] == 1
    assert found["unbraid_items",] == 24
    assert (found["unbraid_index_merged_recall",], found["unbraid_index_rebuild_due",]) == (1.0, 0.0)


def test_a_taken_port_for_metrics_is_refused(
    model_v1: Model, state_v1: SqliteStateStore, unchanged: SqliteCatalogueStore
) -> None:
    first, second = (
        Server(ActiveModel(model_v1, unchanged), state_v1, ServerSettings(port=0), open_log("error")) for _ in range(2)
    )
    port = first.metrics.listen("127.0.0.1", 0)
    try:
        with pytest.raises(Unavailable, match=f"cannot listen on 127.0.0.1:{port} for metrics: .*; choose another"):
            second.metrics.listen("127.0.0.1", port)
    finally:
        first.metrics.close()
