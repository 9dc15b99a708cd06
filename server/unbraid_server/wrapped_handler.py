"""Handlers of gRPC, of any of the four kinds, with something around what they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

__all__ = ["Behaviour", "wrapped"]

# Gets a request or an iterator of them, and a context; returns a response or an iterator of them.
Behaviour = Callable[[Any, grpc.ServicerContext], Any]

KINDS: dict[tuple[bool, bool], tuple[str, Callable[..., grpc.RpcMethodHandler[Any, Any]]]] = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


def wrapped(
    handler: grpc.RpcMethodHandler[Any, Any], wrap: Callable[[Behaviour], Behaviour], *, takes_bytes: bool = False
) -> grpc.RpcMethodHandler[Any, Any]:
    """The same handler with ``wrap`` around its behaviour, which gets requests as bytes where it takes them so."""
    kind, make = KINDS[handler.request_streaming, handler.response_streaming]
    read = None if takes_bytes else handler.request_deserializer
    return make(wrap(getattr(handler, kind)), read, handler.response_serializer)
