"""Traces: what a collector gets over a real socket, who decides what is traced, and collectors that fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid_core.errors import InvalidInput
from unbraid_core.pipeline import STAGES
from unbraid_server.active_model import ActiveModel
from unbraid_server.batch_record import BatchRecord, Turn
from unbraid_server.call_record import CallRecord
from unbraid_server.logs import open_log
from unbraid_server.model import Model
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore
from unbraid_server.traces import Traces

RECOMMEND = "unbraid.v1.RecommendationService/Recommend"
STEPS = ["parse", "state", "history", "wait", "answer"]
QUESTION = pb.RecommendRequest(
    history=pb.History(events=[pb.Event(item_id="k01", event_time=Timestamp(seconds=1_767_500_000))])
)
TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector(TraceServiceServicer):
    """Keeps all spans, or refuses them all."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.refuses = False

    def Export(  # noqa: N802 - the name of the method
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        if self.refuses:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not today")
        self.spans += (
            span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
        )
        return ExportTraceServiceResponse()


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    """A collector and its address."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(1))
    add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]  # generated without types
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield collector, f"http://127.0.0.1:{port}"
    server.stop(None).wait()


Answer = Callable[..., None]


@pytest.fixture
def answer(model_v1: Model, state_v1: SqliteStateStore, unchanged: SqliteCatalogueStore) -> Answer:
    """Answers a question for each given metadata with a server of given settings, and stops it."""

    def run(*metadata: tuple[tuple[str, str], ...], **given: Any) -> None:
        settings = ServerSettings(port=0, **given)
        server = Server(ActiveModel(model_v1, unchanged), state_v1, settings, open_log("warning"))
        with grpc.insecure_channel(f"127.0.0.1:{server.start()}") as channel:
            for each in metadata:
                assert RecommendationServiceStub(channel).Recommend(QUESTION, metadata=each).recommendations
        server.stop(grace_s=2.0)

    return run


def traced(flags: str) -> tuple[tuple[str, str], ...]:
    return (("traceparent", f"00-{TRACE_ID}-{PARENT_ID}-{flags}"), ("x-request-id", "order-66"))


def attributes(span: Span) -> dict[str, Any]:
    found = {each.key: each.value for each in span.attributes}
    return {
        key: [each.string_value for each in value.array_value.values]
        if value.HasField("array_value")
        else getattr(value, value.WhichOneof("value") or "")
        for key, value in found.items()
    }


def test_a_call_is_a_span_below_that_of_its_caller_with_its_steps_and_stages(
    collector: tuple[Collector, str], answer: Answer, model_v1: Model
) -> None:
    answer(traced("01"), otlp_endpoint=collector[1], trace_sample_share=0.0)
    spans = collector[0].spans
    by_id = {span.span_id: span for span in spans}
    [call] = [span for span in spans if span.name == RECOMMEND]
    assert {span.trace_id.hex() for span in spans} == {TRACE_ID}
    assert (call.parent_span_id.hex(), call.kind) == (PARENT_ID, Span.SPAN_KIND_SERVER)
    facts = attributes(call)
    assert (facts["unbraid.release_id"], facts["unbraid.request_id"]) == (model_v1.release_id, "order-66")
    assert (facts["rpc.method"], facts["rpc.grpc.status_code"]) == ("Recommend", 0)
    steps = [span for span in spans if span.parent_span_id == call.span_id]
    assert sorted(span.name for span in steps) == sorted(STEPS)
    [answering] = [span for span in steps if span.name == "answer"]
    assert attributes(answering) == {
        "unbraid.queries": 1,
        "unbraid.batch_queries": 1,
        "unbraid.profiles": ["formula"],
        "unbraid.plans": ["index"],
    }
    stages = [span for span in spans if span.parent_span_id == answering.span_id]
    assert [span.name for span in sorted(stages, key=lambda span: span.start_time_unix_nano)] == [*STAGES, "respond"]
    for span in spans:
        parent = by_id.get(span.parent_span_id, span)
        assert parent.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= parent.end_time_unix_nano


@pytest.mark.parametrize(
    ("metadata", "sample_share", "expected"),
    [(traced("00"), 1.0, 0), (traced("01"), 0.0, 1), ((), 0.0, 0), ((), 1.0, 1), ((("traceparent", "x"),), 1.0, 1)],
    ids=["caller says no", "caller says yes", "never", "always", "caller says nonsense"],
)
def test_callers_decide_what_is_traced_and_else_the_lot(
    collector: tuple[Collector, str],
    answer: Answer,
    metadata: tuple[tuple[str, str], ...],
    sample_share: float,
    expected: int,
) -> None:
    answer(metadata, otlp_endpoint=collector[1], trace_sample_share=sample_share)
    assert sum(span.name == RECOMMEND for span in collector[0].spans) == expected


def test_a_collector_that_refuses_harms_no_call_and_is_in_the_log(
    collector: tuple[Collector, str], answer: Answer, capsys: pytest.CaptureFixture[str]
) -> None:
    collector[0].refuses = True
    answer((), (), otlp_endpoint=collector[1], trace_sample_share=1.0)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert any(line["event"] == "traces" and "INVALID_ARGUMENT" in line["message"] for line in lines)


def test_a_collector_that_is_not_there_harms_no_call(answer: Answer, capsys: pytest.CaptureFixture[str]) -> None:
    answer((), otlp_endpoint="http://127.0.0.1:1", trace_sample_share=1.0)
    assert "call failed" not in capsys.readouterr().err


def test_calls_of_one_batch_are_linked(model_v1: Model) -> None:
    exporter = InMemorySpanExporter()
    traces = Traces(exporter, sample_share=1.0)
    calls = [CallRecord.begin(f"/{RECOMMEND}", model_v1.release_id, ()) for _ in range(3)]
    batch = BatchRecord(3)
    batch.marks.enter("encode")
    batch.end()
    for call in calls:
        call.take(Turn([], batch.began_s, [], batch))
        call.end("OK")
        traces.ended(call)
    traces.close(grace_s=1.0)
    answers = [span for span in exporter.get_finished_spans() if span.name == "answer"]
    assert len({span.context.trace_id for span in answers if span.context is not None}) == 3
    assert [[link.context for link in span.links] for span in answers] == [
        [],
        [answers[0].context],
        [answers[0].context],
    ]


def test_a_wrong_address_is_refused() -> None:
    with pytest.raises(InvalidInput, match="otlp_endpoint"):
        ServerSettings.load(otlp_endpoint="localhost:4317")


def test_without_an_address_nothing_of_it_is_loaded() -> None:
    program = (
        "import sys, unbraid_server.run; print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
