"""The load generators of the overload and the serving benchmark, against a server of gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from threading import Event as Flag

import grpc
import pytest
from benchmarks.closed_loop_grpc import grpc_latencies
from benchmarks.raw_connection import DEADLINE_EXCEEDED
from benchmarks.raw_load import METHOD, OK, REFUSED, RawLoad

from unbraid_load import Step

ANSWER, REFUSE, IGNORE = b"answer", b"refuse", b"ignore"
RATE, SECONDS = 400.0, 1.0


@pytest.fixture
def target() -> Iterator[str]:
    """A server that answers, refuses or ignores calls, as their requests say."""
    gate = Flag()

    def behave(request: bytes, context: grpc.ServicerContext) -> bytes:
        if request.startswith(REFUSE):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "not now")
        if request == IGNORE:
            gate.wait(10.0)
        return request * 100

    service, _, method = METHOD[1:].partition("/")
    handler = grpc.method_handlers_generic_handler(service, {method: grpc.unary_unary_rpc_method_handler(behave)})
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    gate.set()
    server.stop(grace=0).wait()


@pytest.mark.parametrize("connection_count", [1, 3])
def test_every_call_of_an_open_loop_ends_with_the_status_that_the_server_gave(
    target: str, connection_count: int
) -> None:
    # Together more than may be on its way to a server at once, so that it has to make room.
    requests = [ANSWER + bytes(2_000), REFUSE + bytes(2_000)]
    calls = RawLoad(target, requests, connection_count).open_loop([Step(RATE, SECONDS / 2), Step(RATE, SECONDS / 2)])
    assert 0.5 * RATE * SECONDS < len(calls.code_C) < 1.5 * RATE * SECONDS
    assert calls.count(OK) + calls.count(REFUSED) == len(calls.code_C)
    assert abs(calls.count(OK) - calls.count(REFUSED)) <= 1
    halves = [calls.between(0.0, SECONDS / 2), calls.between(SECONDS / 2, SECONDS)]
    assert sum(len(half.code_C) for half in halves) == len(calls.code_C)
    assert calls.percentile_ms(1, OK) > 0


def test_a_call_without_an_answer_ends_at_its_deadline(target: str) -> None:
    calls = RawLoad(target, [IGNORE], 1).open_loop([Step(40.0, 0.1)])
    assert len(calls.code_C)
    assert calls.count(DEADLINE_EXCEEDED) == len(calls.code_C)
    assert calls.percentile_ms(1, DEADLINE_EXCEEDED) >= 900.0


def test_a_closed_loop_asks_again_when_it_is_answered(target: str) -> None:
    calls = RawLoad(target, [ANSWER], 2).closed_loop(callers=2, seconds=0.3)
    assert calls.count(OK) == len(calls.code_C) > 2
    assert calls.goodput_rps > 0


def test_callers_over_some_connections_are_answered_again_and_again(target: str) -> None:
    callers = 10
    latencies_s = grpc_latencies(METHOD, cycle([ANSWER]), target, callers, 0.3)
    assert len(latencies_s) > 2 * callers
    assert min(latencies_s) > 0


def test_a_request_larger_than_a_frame_arrives_and_a_refusal_ends_the_load(target: str) -> None:
    with pytest.raises(ConnectionError, match=f"status {REFUSED}"):
        grpc_latencies(METHOD, cycle([REFUSE + bytes(40_000)]), target, 1, 0.3)
