"""Errors as rich gRPC statuses: google.rpc.ErrorInfo on every one, and what else helps the caller."""

from __future__ import annotations

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from unbraid_core.errors import InvalidInput, Overloaded, Unavailable, UnbraidError
from unbraid_server.status_codes import status_code
from unbraid_server.timestamps import duration

__all__ = ["ERROR_DOMAIN", "internal_status", "rich_status", "short", "status_message"]

ERROR_DOMAIN = "unbraid"
RETRY_AFTER_S = 1
# A status travels in HTTP/2 headers, and clients refuse more than 8 KiB of them.
MAX_TEXT_LENGTH = 200


def rich_status(error: UnbraidError, request_id: str) -> grpc.Status:
    """The status of a call that an expected error ends."""
    return rpc_status.to_status(status_message(error, request_id=request_id))


def status_message(error: UnbraidError, **metadata: str) -> status_pb2.Status:
    """An expected error: its message, its reason, and the wrong field or the time to wait."""
    details: list[Message] = [_error_info(error.reason, {**error.metadata, **metadata})]
    if isinstance(error, InvalidInput):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=short(error.field), description=short(error.problem)
        )
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if isinstance(error, Unavailable):
        details.append(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=RETRY_AFTER_S)))
    if isinstance(error, Overloaded):
        details.append(error_details_pb2.RetryInfo(retry_delay=duration(error.retry_after_s)))
    return _status(status_code(error), error.message, details)


def internal_status(request_id: str) -> grpc.Status:
    """The status of an unexpected error: nothing but the id under which the log tells the rest."""
    message = f"internal error; the log of the server has the cause under request {request_id}"
    details: list[Message] = [_error_info("INTERNAL", {"request_id": request_id})]
    return rpc_status.to_status(_status(grpc.StatusCode.INTERNAL, message, details))


def short(text: str) -> str:
    """A text of bounded length; what callers send can be megabytes."""
    return text if len(text) <= MAX_TEXT_LENGTH else f"{text[: MAX_TEXT_LENGTH - 3]}..."


def _error_info(reason: str, metadata: dict[str, str]) -> error_details_pb2.ErrorInfo:
    bounded = {key: short(value) for key, value in metadata.items()}
    return error_details_pb2.ErrorInfo(reason=reason, domain=ERROR_DOMAIN, metadata=bounded)


def _status(code: grpc.StatusCode, message: str, details: list[Message]) -> status_pb2.Status:
    packed = [Any() for _ in details]
    for each, detail in zip(packed, details, strict=True):
        each.Pack(detail)
    number: int = code.value[0]
    return status_pb2.Status(code=number, message=short(message), details=packed)
