"""What a server tells of its calls: request ids, slow calls, and figures for Prometheus and the status that agree."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from threading import Thread
from typing import Any, cast

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1 import status_pb2
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid.v1.status_pb2_grpc import StatusServiceStub
from unbraid_core.pipeline import STAGES
from unbraid_server.active_model import ActiveModel
from unbraid_server.logs import LogFormat, open_log
from unbraid_server.model import Model
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore

NOW_S = 1_767_500_000
RECOMMEND = "/unbraid.v1.RecommendationService/Recommend"
STEPS = ["parse", "state", "history", "wait", "answer"]
# What a batch does: the pipeline, and writing what it found.
PARTS = [*STAGES, "respond"]
QUESTION = pb.RecommendRequest(
    history=pb.History(
        events=[pb.Event(item_id=item_id, event_time=Timestamp(seconds=NOW_S)) for item_id in ("k01", "k02", "k03")]
    )
)
WRONG = pb.RecommendRequest(history=pb.History(), limit=-1)

Opened = tuple[Server, grpc.Channel]


@pytest.fixture
def serve(
    model_v1: Model, state_v1: SqliteStateStore, unchanged: SqliteCatalogueStore
) -> Iterator[Callable[..., Opened]]:
    """Starts servers with given settings and a log on stderr, and stops them."""
    started: list[Opened] = []

    def start(**given: Any) -> Opened:
        settings = ServerSettings(port=0, recall_sample_share=0.0, **given)
        log = open_log(settings.log_level, settings.log_format)
        server = Server(ActiveModel(model_v1, unchanged), state_v1, settings, log)
        started.append((server, grpc.insecure_channel(f"127.0.0.1:{server.start()}")))
        return started[-1]

    yield start
    for server, channel in started:
        channel.close()
        server.stop(grace_s=0)


def samples(server: Server) -> dict[tuple[str, ...], float]:
    """Everything that is exported, by name and sorted values of the labels."""
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(generate_latest(server.metrics.registry).decode())
        for sample in family.samples
    }


def request_id(stub: RecommendationServiceStub, request: pb.RecommendRequest, *given: tuple[str, str]) -> str:
    """What the end of a call calls it, whether the call is answered or refused."""
    call: grpc.Call
    try:
        _, call = stub.Recommend.with_call(request, metadata=given)
    except grpc.RpcError as error:
        call = cast("grpc.Call", error)
    found = [value for key, value in call.trailing_metadata() or () if key == "unbraid-request-id"]
    assert len(found) == 1
    return str(found[0])


def logged(errors: str, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in errors.splitlines()]
    return [line for line in lines if line["event"] == event]


@pytest.mark.parametrize("request_sent", [QUESTION, WRONG], ids=["answered", "refused"])
def test_callers_may_choose_the_request_id_and_get_it_back(
    serve: Callable[..., Opened], capsys: pytest.CaptureFixture[str], request_sent: pb.RecommendRequest
) -> None:
    # However busy the machine is, no call gets a second line for being slow.
    server, channel = serve(log_level="debug", slow_call_ms=600_000.0)
    stub = RecommendationServiceStub(channel)
    assert request_id(stub, request_sent, ("x-request-id", "order 66/b")) == "order 66/b"
    by_lot = [request_id(stub, request_sent), request_id(stub, request_sent, ("x-request-id", "x" * 65))]
    assert {len(each) for each in by_lot} == {16}
    assert by_lot[0] != by_lot[1]
    server.stop(grace_s=1.0)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["request_id"] for line in lines] == ["order 66/b", *by_lot]


def test_slow_calls_say_where_the_time_went_and_most_of_a_rush_of_them_nothing(
    serve: Callable[..., Opened], capsys: pytest.CaptureFixture[str]
) -> None:
    server, channel = serve(slow_call_ms=0.0)
    stub = RecommendationServiceStub(channel)
    for _ in range(60):
        stub.Recommend(QUESTION)
    server.stop(grace_s=1.0)
    lines = logged(capsys.readouterr().err, "slow call")
    first = lines[0]
    assert (first["method"], first["code"], first["suppressed_lines"]) == (RECOMMEND, "OK", 0)
    assert list(first["steps_ms"]) == STEPS
    assert list(first["stages_ms"]) == PARTS
    assert sum(first["steps_ms"].values()) <= first["duration_ms"]
    assert sum(first["stages_ms"].values()) <= first["steps_ms"]["answer"] + 0.001 * len(PARTS)
    assert (first["queries"], first["batch_queries"], first["history_events"]) == (1, 1, 3)
    assert (first["profiles"], first["plans"]) == (["formula"], ["index"])
    assert first["candidates"] >= 20
    assert len(lines) < 60


def test_quick_calls_are_not_slow(serve: Callable[..., Opened], capsys: pytest.CaptureFixture[str]) -> None:
    server, channel = serve(slow_call_ms=60_000.0)
    RecommendationServiceStub(channel).Recommend(QUESTION)
    server.stop(grace_s=1.0)
    assert capsys.readouterr().err == ""


def test_lines_for_people_are_a_setting(capsys: pytest.CaptureFixture[str]) -> None:
    open_log("info", LogFormat.CONSOLE).info("listening", port=50051)
    open_log("info", LogFormat.JSON).info("listening", port=50051)
    for_people, for_machines = capsys.readouterr().err.splitlines()
    assert "listening" in for_people
    assert not for_people.startswith("{")
    assert json.loads(for_machines)["port"] == 50051


def test_prometheus_counts_steps_stages_and_batches(serve: Callable[..., Opened]) -> None:
    server, channel = serve()
    stub = RecommendationServiceStub(channel)
    for _ in range(3):
        stub.Recommend(QUESTION)
    request_id(stub, WRONG)
    found = samples(server)
    assert found["unbraid_calls_total", RECOMMEND, "OK"] == 3
    assert found["unbraid_calls_total", RECOMMEND, "INVALID_ARGUMENT"] == 1
    assert {step: found["unbraid_call_step_seconds_count", step] for step in STEPS} == dict.fromkeys(STEPS, 3) | {
        "parse": 4
    }
    assert {stage: found["unbraid_stage_seconds_count", stage] for stage in PARTS} == dict.fromkeys(PARTS, 3)
    assert found["unbraid_batch_queries_count",] == found["unbraid_batch_queries_sum",] == 3
    assert found["unbraid_call_duration_seconds_bucket", "+Inf", RECOMMEND] == 4
    in_steps_s = sum(found["unbraid_call_step_seconds_sum", step] for step in STEPS)
    assert in_steps_s <= found["unbraid_call_duration_seconds_sum", RECOMMEND]
    assert found["unbraid_calls_in_flight",] == found["unbraid_waiting_queries",] == 0
    assert found["unbraid_index_list_imbalance",] >= 1
    assert found["process_open_fds",] > 0


def test_a_stream_is_neither_slow_nor_has_it_a_duration(
    serve: Callable[..., Opened], capsys: pytest.CaptureFixture[str]
) -> None:
    server, channel = serve(slow_call_ms=0.0)
    questions = [pb.StreamRecommendRequest(question_id=str(number), request=QUESTION) for number in range(3)]
    answers = list(RecommendationServiceStub(channel).StreamRecommend(iter(questions)))
    assert sum(len(answer.outcomes) for answer in answers) == 3
    server.stop(grace_s=1.0)
    found = samples(server)
    method = "/unbraid.v1.RecommendationService/StreamRecommend"
    assert found["unbraid_calls_total", method, "OK"] == 1
    assert ("unbraid_call_duration_seconds_count", method) not in found
    assert found["unbraid_call_step_seconds_count", "state"] == 3
    assert found["unbraid_call_step_seconds_count", "idle"] >= 2
    assert capsys.readouterr().err == ""


def test_the_status_says_what_prometheus_says(serve: Callable[..., Opened]) -> None:
    server, channel = serve()
    stub = RecommendationServiceStub(channel)
    asking = [Thread(target=ask, args=(stub, 20)) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    serving = StatusServiceStub(channel).GetStatus(status_pb2.GetStatusRequest()).serving
    found = samples(server)
    assert {(call.method, call.code): call.call_count for call in serving.calls} == {(RECOMMEND, "OK"): 80}
    assert sum(serving.durations_s.counts) == found["unbraid_call_duration_seconds_count", RECOMMEND]
    assert serving.batch_sizes.total == found["unbraid_batch_queries_sum",] == 80
    assert {stage.name: stage.run_count for stage in serving.stages} == {
        stage: found["unbraid_stage_seconds_count", stage] for stage in PARTS
    }
    assert {stage.name: stage.total_s for stage in serving.steps} == pytest.approx(
        {step: found["unbraid_call_step_seconds_sum", step] for step in STEPS}
    )
    assert serving.call_in_flight_count == 1  # the call for the status itself
    assert {each.reason: each.call_count for each in serving.shed} == dict.fromkeys(
        ("queue_full", "deadline", "caller_gone", "too_many"), 0
    )


def ask(stub: RecommendationServiceStub, count: int) -> Sequence[pb.RecommendResponse]:
    return [stub.Recommend(QUESTION) for _ in range(count)]
