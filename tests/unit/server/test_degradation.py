"""Cheaper answers under pressure: who gets them, what they are, and that everybody is told."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event as Flag

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client import generate_latest

from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1 import status_pb2
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid.v1.status_pb2_grpc import StatusServiceStub
from unbraid_core.ports import Encoder
from unbraid_core.types import Effort, History, HistoryBatch, InterestBatch, Query, Ranking
from unbraid_server.active_model import ActiveModel
from unbraid_server.batcher import Batcher
from unbraid_server.logs import open_log
from unbraid_server.model import Model
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore

TIMEOUT_S = 20.0
NOW_S = 1_767_500_000
# So short that every question waits for longer.
AT_ONCE_MS = 1e-6
QUESTION = pb.RecommendRequest(
    history=pb.History(
        events=[
            pb.Event(item_id=item_id, event_time=Timestamp(seconds=NOW_S - age_s))
            for item_id, age_s in (("k01", 9 * 86_400), ("c03", 5 * 86_400), ("k07", 3_600))
        ]
    ),
    limit=2,
    as_of_time=Timestamp(seconds=NOW_S),
)


class Patient:
    """A caller without a deadline."""

    def is_active(self) -> bool:
        return True

    def time_remaining(self) -> float | None:
        return None


class Gate:
    """An encoder that a test can hold back."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.entered, self.opened = Flag(), Flag()

    def encode(self, batch: HistoryBatch) -> InterestBatch:
        self.entered.set()
        assert self.opened.wait(TIMEOUT_S)
        return self._encoder.encode(batch)


@pytest.fixture(scope="module")
def choosy(model_v1: Model) -> Model:
    """The committed release with so few candidates that it matters how many interests are searched for."""
    pipeline = model_v1.pipeline
    return replace(
        model_v1, pipeline=replace(pipeline, scoring=replace(pipeline.scoring, candidate_count=6, quota_min=2))
    )


@pytest.fixture(scope="module")
def server(choosy: Model, state_v1: SqliteStateStore, unchanged: SqliteCatalogueStore) -> Iterator[Server]:
    """It finds that every question has waited for too long."""
    settings = ServerSettings(port=0, degrade_after_ms=AT_ONCE_MS, recall_sample_share=0.0)
    server = Server(ActiveModel(choosy, unchanged), state_v1, settings, open_log("error"))
    yield server
    server.stop(grace_s=0)


@pytest.fixture(scope="module")
def hurried(server: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{server.start()}") as channel:
        yield channel


def query(seed: int) -> Query:
    rng = np.random.default_rng(seed)
    times_s = np.sort(NOW_S - rng.integers(1, 10**6, 5).astype(np.float64))
    return Query(History(rng.integers(0, 24, 5), times_s, np.zeros(5, np.int64)), float(NOW_S), limit=3)


def same(one: Ranking, other: Ranking) -> bool:
    return np.array_equal(one.row_R, other.row_R) and np.array_equal(one.score_R, other.score_R)


def test_only_those_that_waited_too_long_are_answered_with_less_effort(choosy: Model) -> None:
    gate = Gate(choosy.pipeline.encoder)
    gated = replace(choosy, pipeline=replace(choosy.pipeline, encoder=gate))
    time_s = 0.0
    batcher = Batcher(8, 8, clock=lambda: time_s, patience_s=0.5)
    queries = [query(seed) for seed in range(3)]
    with ThreadPoolExecutor(3) as pool:
        asked = []
        for waiting_count, (moment_s, each) in enumerate(zip((0.0, 1.0, 1.25), queries, strict=True)):
            time_s = moment_s
            asked.append(pool.submit(batcher.recommend, gated, [each], Patient(), "c"))
            assert gate.entered.wait(TIMEOUT_S)
            while batcher.waiting_count < waiting_count:
                pass
        time_s = 1.6
        gate.opened.set()
        first, early, late = (each.result(TIMEOUT_S)[0] for each in asked)
    assert [ranking.effort for ranking in (first, early, late)] == [Effort.FULL, Effort.REDUCED, Effort.FULL]
    expected = [queries[0], replace(queries[1], effort=Effort.REDUCED), queries[2]]
    assert all(map(same, (first, early, late), choosy.pipeline.recommend(expected)))
    [full] = choosy.pipeline.recommend([queries[1]])
    assert early.candidate_count < full.candidate_count


def test_every_kind_of_answer_says_so(hurried: grpc.Channel, choosy: Model) -> None:
    service = RecommendationServiceStub(hurried)
    known = choosy.history(
        [event.item_id for event in QUESTION.history.events],
        [float(event.event_time.seconds) for event in QUESTION.history.events],
        ["", "", ""],
        None,
    )
    [expected] = choosy.pipeline.recommend([Query(known.history, float(NOW_S), limit=2, effort=Effort.REDUCED)])
    one = service.Recommend(QUESTION)
    batch = service.BatchRecommend(pb.BatchRecommendRequest(requests=[QUESTION, QUESTION]))
    [streamed] = service.StreamRecommend(iter([pb.StreamRecommendRequest(request=QUESTION)]))
    assert one.degraded
    assert [each.item_id for each in one.recommendations] == choosy.catalogue.ids(expected.row_R)
    assert [each.score for each in one.recommendations] == expected.score_R.tolist()
    assert [outcome.response for outcome in batch.outcomes] == [one, one]
    assert [outcome.response for outcome in streamed.outcomes] == [one]


def test_degraded_answers_are_counted(server: Server, hurried: grpc.Channel) -> None:
    service, status = RecommendationServiceStub(hurried), StatusServiceStub(hurried)

    def count() -> int:
        return status.GetStatus(status_pb2.GetStatusRequest()).serving.degraded_answer_count

    before = count()
    service.BatchRecommend(pb.BatchRecommendRequest(requests=[QUESTION, pb.RecommendRequest(user_id="nobody")]))
    service.Recommend(QUESTION)
    assert count() == before + 2
    exported = generate_latest(server.metrics.registry).decode()
    assert f"unbraid_degraded_answers_total {before + 2}.0\n" in exported


def test_what_is_little_work_or_has_to_be_exact_is_never_degraded(
    hurried: grpc.Channel, choosy: Model, state_v1: SqliteStateStore, unchanged: SqliteCatalogueStore
) -> None:
    service = RecommendationServiceStub(hurried)
    assert not service.Recommend(pb.RecommendRequest(user_id="nobody")).degraded
    wanted = pb.RankItemsRequest(
        history=QUESTION.history, item_ids=["k02", "c02", "k09"], as_of_time=QUESTION.as_of_time
    )
    calm = Server(ActiveModel(choosy, unchanged), state_v1, ServerSettings(port=0), open_log("error"))
    try:
        with grpc.insecure_channel(f"127.0.0.1:{calm.start()}") as channel:
            assert service.RankItems(wanted) == RecommendationServiceStub(channel).RankItems(wanted)
    finally:
        calm.stop(grace_s=0)


def test_without_the_setting_nobody_is_ever_degraded(channel_v1: grpc.Channel) -> None:
    service, status = RecommendationServiceStub(channel_v1), StatusServiceStub(channel_v1)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(service.Recommend, [QUESTION] * 200))
    assert not any(answer.degraded for answer in answers)
    assert status.GetStatus(status_pb2.GetStatusRequest()).serving.degraded_answer_count == 0


def test_with_patience_a_quiet_server_gives_full_answers(
    choosy: Model, state_v1: SqliteStateStore, unchanged: SqliteCatalogueStore
) -> None:
    settings = ServerSettings(port=0, degrade_after_ms=60_000.0)
    calm = Server(ActiveModel(choosy, unchanged), state_v1, settings, open_log("error"))
    try:
        with grpc.insecure_channel(f"127.0.0.1:{calm.start()}") as channel:
            assert not RecommendationServiceStub(channel).Recommend(QUESTION).degraded
    finally:
        calm.stop(grace_s=0)
