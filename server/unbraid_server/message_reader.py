"""Turns the bytes of requests into messages, inside the boundary of calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError

from unbraid_core.errors import InvalidInput
from unbraid_server.roles import OPEN_METHODS
from unbraid_server.wrapped_handler import Behaviour, wrapped

__all__ = ["MessageReader"]

Request = TypeVar("Request")
Response = TypeVar("Response")
Deserializer = Callable[[bytes], Any]


class MessageReader(grpc.ServerInterceptor):
    """Reads requests itself: gRPC would answer INTERNAL to bytes that are no message, which are the caller's fault."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Request, Response] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Request, Response] | None:
        """Have a method take bytes."""
        handler = continuation(handler_call_details)
        is_open = handler_call_details.method.startswith(OPEN_METHODS)
        # Health stays as it is: its watches do without a thread, which gRPC learns from its handler.
        if handler is None or handler.request_deserializer is None or is_open:
            return handler
        read: Deserializer = handler.request_deserializer
        reading = _of_many if handler.request_streaming else _of_one
        return wrapped(handler, lambda behaviour: reading(behaviour, read), takes_bytes=True)


def _of_one(behaviour: Behaviour, read: Deserializer) -> Behaviour:
    return lambda request, context: behaviour(_message(read, request), context)


def _of_many(behaviour: Behaviour, read: Deserializer) -> Behaviour:
    def messages(requests: Iterator[bytes]) -> Iterator[Any]:
        for request in requests:
            yield _message(read, request)

    return lambda requests, context: behaviour(messages(requests), context)


def _message(read: Deserializer, request: bytes) -> Any:
    try:
        return read(request)
    except DecodeError as error:
        raise InvalidInput("request", f"{error}; send the message that the contract says") from None
