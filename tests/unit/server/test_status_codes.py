"""Every error of unbraid has a gRPC code and tells its caller what helps."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from unbraid_core.errors import Conflict, InvalidInput, NotFound, Overloaded, Unavailable, UnbraidError
from unbraid_server.error_status import ERROR_DOMAIN, internal_status, rich_status
from unbraid_server.status_codes import STATUS_CODES, status_code

DETAILS_KEY = "grpc-status-details-bin"
HEADER_LIMIT_BYTES = 8192


def subclasses(kind: type[UnbraidError]) -> Iterator[type[UnbraidError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from subclasses(each)


def example(kind: type[UnbraidError]) -> UnbraidError:
    if issubclass(kind, InvalidInput):
        return kind("field", "problem")
    return kind("message", 0.25) if issubclass(kind, Overloaded) else kind("message")


def unpacked(status: grpc.Status) -> status_pb2.Status:
    metadata = dict(status.trailing_metadata or ())
    return status_pb2.Status.FromString(metadata[DETAILS_KEY])


@pytest.mark.parametrize("kind", list(subclasses(UnbraidError)))
def test_every_class_has_one_code_and_its_reason_in_error_info(kind: type[UnbraidError]) -> None:
    assert kind in STATUS_CODES
    status = rich_status(example(kind), "request-1")
    assert status.code is status_code(example(kind)) is STATUS_CODES[kind]
    rich = unpacked(status)
    info = error_details_pb2.ErrorInfo()
    assert rich.code == status.code.value[0]
    assert rich.details[0].Unpack(info)
    assert (info.reason, info.domain, info.metadata["request_id"]) == (kind.reason, ERROR_DOMAIN, "request-1")


def test_a_class_that_is_not_listed_takes_the_code_of_its_parent() -> None:
    class Expired(Conflict):
        """Only here."""

    assert status_code(Expired("too late")) is grpc.StatusCode.FAILED_PRECONDITION


def test_invalid_input_names_the_field() -> None:
    rich = unpacked(rich_status(InvalidInput("history.events[3].item_id", "is empty"), "r"))
    bad_request = error_details_pb2.BadRequest()
    assert rich.details[1].Unpack(bad_request)
    [violation] = bad_request.field_violations
    assert (violation.field, violation.description) == ("history.events[3].item_id", "is empty")


def test_unavailable_says_when_to_try_again() -> None:
    rich = unpacked(rich_status(Unavailable("busy"), "r"))
    retry = error_details_pb2.RetryInfo()
    assert rich.details[1].Unpack(retry)
    assert retry.retry_delay.seconds > 0


def test_metadata_of_the_error_reaches_the_caller() -> None:
    info = error_details_pb2.ErrorInfo()
    unpacked(rich_status(NotFound("no such user", user_id="u1"), "r")).details[0].Unpack(info)
    assert info.metadata["user_id"] == "u1"


def test_an_unexpected_error_tells_its_request_id_and_nothing_else() -> None:
    rich = unpacked(internal_status("request-7"))
    assert rich.code == grpc.StatusCode.INTERNAL.value[0]
    assert "request-7" in rich.message


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 100_000))
def test_a_status_fits_into_headers_whatever_the_caller_sent(text: str, times: int) -> None:
    echoed = text * (times // max(1, len(text)))
    for error in (NotFound(echoed, user_id=echoed), InvalidInput("user_id", echoed), InvalidInput(echoed, "is wrong")):
        status = rich_status(error, "r")
        percent_encoded = 3 * len(status.details.encode())
        base64 = 4 * (len(dict(status.trailing_metadata or ())[DETAILS_KEY]) // 3 + 1)
        assert percent_encoded + base64 < HEADER_LIMIT_BYTES
