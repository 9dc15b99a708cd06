"""What the clients do when an attempt fails: retry, or raise the right error."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_client import (
    Cancelled,
    ClientError,
    Conflict,
    DeadlineExceeded,
    ErrorDetails,
    FieldViolation,
    InvalidRequest,
    NotAllowed,
    NotFound,
    Overloaded,
    ServerError,
    Unavailable,
    UnbraidClient,
)

if TYPE_CHECKING:
    from tests.unit.client.conftest import Call, ScriptedServer

MAX_ATTEMPTS = 4


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
def test_what_a_stopping_server_answers_is_tried_again(
    server: ScriptedServer, call: Call, code: grpc.StatusCode
) -> None:
    server.refuse(code)
    server.refuse(code)
    server.answer(pb.RecommendResponse(release_id="r1"))

    assert call("recommend", user_id="7").release_id == "r1"
    assert server.requests == [server.requests[0]] * 3


def test_attempts_are_limited(server: ScriptedServer, call: Call) -> None:
    server.refuse(grpc.StatusCode.UNAVAILABLE, "draining")

    with pytest.raises(Unavailable, match="draining"):
        call("recommend", user_id="7")
    assert len(server.requests) == MAX_ATTEMPTS


def test_a_server_that_keeps_failing_uses_up_the_retry_budget(server: ScriptedServer) -> None:
    server.refuse(grpc.StatusCode.UNAVAILABLE)

    with UnbraidClient(server.target) as client:

        def fail() -> None:
            with pytest.raises(Unavailable):
                client.get_interests(user_id="7")

        with ThreadPoolExecutor(20) as pool:
            for failing in [pool.submit(fail) for _ in range(20)]:
                failing.result()
        assert 20 < len(server.requests) < 20 * MAX_ATTEMPTS
        server.requests.clear()
        fail()

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequest),
        (grpc.StatusCode.OUT_OF_RANGE, InvalidRequest),
        (grpc.StatusCode.NOT_FOUND, NotFound),
        (grpc.StatusCode.FAILED_PRECONDITION, Conflict),
        (grpc.StatusCode.ABORTED, Conflict),
        (grpc.StatusCode.ALREADY_EXISTS, Conflict),
        (grpc.StatusCode.UNAUTHENTICATED, NotAllowed),
        (grpc.StatusCode.PERMISSION_DENIED, NotAllowed),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Overloaded),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExceeded),
        (grpc.StatusCode.INTERNAL, ServerError),
        (grpc.StatusCode.UNKNOWN, ServerError),
        (grpc.StatusCode.UNIMPLEMENTED, ServerError),
        (grpc.StatusCode.DATA_LOSS, ServerError),
    ],
)
def test_every_other_code_is_raised_at_once(
    server: ScriptedServer, call: Call, code: grpc.StatusCode, kind: type[ClientError]
) -> None:
    server.refuse(code, "the reason in words")

    with pytest.raises(kind) as raised:
        call("recommend", user_id="7")

    assert type(raised.value) is kind
    assert raised.value.code is code
    assert str(raised.value) == "the reason in words"
    assert raised.value.details == ErrorDetails()
    assert len(server.requests) == 1


def test_details_are_typed(server: ScriptedServer, call: Call) -> None:
    server.refuse(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "full",
        error_details_pb2.ErrorInfo(
            reason="QUEUE_FULL", domain="unbraid", metadata={"limit": "64", "request_id": "q-17"}
        ),
        error_details_pb2.BadRequest(
            field_violations=[
                error_details_pb2.BadRequest.FieldViolation(field="limit", description="is negative"),
                error_details_pb2.BadRequest.FieldViolation(field="user_id", description="is empty"),
            ]
        ),
        error_details_pb2.RetryInfo(retry_delay=Duration(nanos=250_000_000)),
    )

    with pytest.raises(Overloaded) as raised:
        call("recommend", user_id="7")

    assert raised.value.details == ErrorDetails(
        reason="QUEUE_FULL",
        metadata={"limit": "64", "request_id": "q-17"},
        violations=(FieldViolation("limit", "is negative"), FieldViolation("user_id", "is empty")),
        retry_delay=timedelta(milliseconds=250),
        request_id="q-17",
    )


def test_the_deadline_of_a_call_ends_it(server: ScriptedServer, call: Call) -> None:
    server.stay_silent()

    with pytest.raises(DeadlineExceeded):
        call("recommend", user_id="7", timeout_s=0.1)


def test_a_call_without_a_deadline_gets_five_seconds(server: ScriptedServer, call: Call) -> None:
    server.answer(pb.GetInterestsResponse())

    call("get_interests", user_id="7")

    # It travels as the time that is left, rounded up, and takes a while on a busy machine.
    assert 3.0 < server.seconds_left[0] < 5.1


def test_no_server_at_all_is_unavailable() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{reserved.getsockname()[1]}"
        with UnbraidClient(target) as client, pytest.raises(Unavailable, match="refused"):
            client.get_status()


def test_cancelled_is_typed_once_the_attempts_are_used_up(server: ScriptedServer, call: Call) -> None:
    server.refuse(grpc.StatusCode.CANCELLED)

    with pytest.raises(Cancelled):
        call("recommend", user_id="7")
    assert len(server.requests) == MAX_ATTEMPTS
