"""What a call can end in, other than an answer.

ClientError
├── InvalidRequest      INVALID_ARGUMENT, OUT_OF_RANGE          ``violations`` names the fields
├── NotFound            NOT_FOUND                               a user or release that does not exist
├── Conflict            FAILED_PRECONDITION, ABORTED, ALREADY_EXISTS
├── NotAllowed          UNAUTHENTICATED, PERMISSION_DENIED
├── Overloaded          RESOURCE_EXHAUSTED                      ``retry_delay`` says when to come back
├── Unavailable         UNAVAILABLE                             still so after the retries of the channel
├── DeadlineExceeded    DEADLINE_EXCEEDED
├── Cancelled           CANCELLED                               by the server; retried by the channel before
└── ServerError         every other code
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

import grpc
from google.rpc import error_details_pb2, status_pb2

__all__ = [
    "Cancelled",
    "ClientError",
    "Conflict",
    "DeadlineExceeded",
    "ErrorDetails",
    "FieldViolation",
    "InvalidRequest",
    "NotAllowed",
    "NotFound",
    "Overloaded",
    "ServerError",
    "Unavailable",
    "error_of",
    "error_of_status",
]

STATUS_DETAILS_KEY = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field of the request that the server refused, and why."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class ErrorDetails:
    """The machine-readable part of an error; everything is empty where the server said nothing.

    Attributes:
        reason: stable UPPER_SNAKE word for the cause.
        metadata: facts that belong to the reason.
        violations: the fields that were refused.
        retry_delay: how long to wait before the same call makes sense again.
        request_id: names the call in the log of the server.
    """

    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[FieldViolation, ...] = ()
    retry_delay: timedelta | None = None
    request_id: str = ""


class ClientError(Exception):
    """Root of every error of a call; ``str(error)`` is one line for a person.

    Args:
        message: what the server, or the connection to it, said.
        code: the gRPC status code.
        details: the machine-readable part.
    """

    def __init__(self, message: str, code: grpc.StatusCode, details: ErrorDetails) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.details = details


class InvalidRequest(ClientError):
    """A value of the request is wrong."""


class NotFound(ClientError):
    """A named thing does not exist."""


class Conflict(ClientError):
    """The present state of the server forbids the call."""


class NotAllowed(ClientError):
    """The server does not accept this caller."""


class Overloaded(ClientError):
    """The server is full and refused the call at once."""


class Unavailable(ClientError):
    """No server answered."""


class DeadlineExceeded(ClientError):
    """No answer within the deadline."""


class Cancelled(ClientError):
    """The server dropped the call."""


class ServerError(ClientError):
    """The server failed."""


CLASS_OF_CODE: Mapping[grpc.StatusCode, type[ClientError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: Conflict,
    grpc.StatusCode.ABORTED: Conflict,
    grpc.StatusCode.ALREADY_EXISTS: Conflict,
    grpc.StatusCode.UNAUTHENTICATED: NotAllowed,
    grpc.StatusCode.PERMISSION_DENIED: NotAllowed,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Cancelled,
}

CODE_OF_NUMBER: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


def error_of(error: grpc.RpcError) -> ClientError:
    """The typed form of what grpcio raised, from a blocking or an asyncio call."""
    code = error.code()
    message = error.details() or code.name
    # The metadata of blocking and of asyncio calls are of different classes; both are made of pairs.
    metadata = cast("Iterable[tuple[str, bytes]]", error.trailing_metadata() or ())
    return CLASS_OF_CODE.get(code, ServerError)(message, code, _details(metadata))


def error_of_status(status: status_pb2.Status) -> ClientError:
    """The typed form of a status that stands in a response."""
    code = CODE_OF_NUMBER.get(status.code, grpc.StatusCode.UNKNOWN)
    return CLASS_OF_CODE.get(code, ServerError)(status.message or code.name, code, _details_of(status))


def _details(metadata: Iterable[tuple[str, bytes]]) -> ErrorDetails:
    packed = next((value for key, value in metadata if key == STATUS_DETAILS_KEY), b"")
    return _details_of(status_pb2.Status.FromString(packed))


def _details_of(status: status_pb2.Status) -> ErrorDetails:
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        for message in (info, bad_request, retry):
            detail.Unpack(message)
    return ErrorDetails(
        reason=info.reason,
        metadata=dict(info.metadata),
        violations=tuple(FieldViolation(each.field, each.description) for each in bad_request.field_violations),
        retry_delay=retry.retry_delay.ToTimedelta() if retry.HasField("retry_delay") else None,
        request_id=info.metadata.get("request_id", ""),
    )
