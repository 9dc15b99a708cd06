"""The boundary of every call: a request id, one log line, and errors as statuses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

import grpc
from structlog.typing import FilteringBoundLogger

from unbraid_core.errors import UnbraidError
from unbraid_server.active_model import ActiveModel
from unbraid_server.call_facts import facts, principal
from unbraid_server.call_record import CallRecord, CallWitness
from unbraid_server.error_status import internal_status, rich_status, short
from unbraid_server.roles import OPEN_METHODS
from unbraid_server.serving_figures import ServingFigures
from unbraid_server.status_codes import status_code

__all__ = ["CallBoundary"]

Request = TypeVar("Request")
Response = TypeVar("Response")

# How loud the line about a refused call is, warning where nothing is said. A flood must not fill the log with refusals,
# which metrics count.
LEVELS = {
    grpc.StatusCode.INVALID_ARGUMENT: logging.INFO,
    grpc.StatusCode.NOT_FOUND: logging.INFO,
    grpc.StatusCode.FAILED_PRECONDITION: logging.INFO,
    grpc.StatusCode.UNAUTHENTICATED: logging.INFO,
    grpc.StatusCode.PERMISSION_DENIED: logging.INFO,
    grpc.StatusCode.RESOURCE_EXHAUSTED: logging.DEBUG,
}


class CallBoundary(grpc.ServerInterceptor):
    """Wraps all methods but health, which speaks for itself.

    Args:
        log: where calls are logged.
        active: which model answers; a line names the release that was active when the call began.
        figures: where calls are counted.
        witnesses: told of every call when it is done.
        apart: the methods that take their time, and the threads that they have for themselves, so that they do not
            take the places of quick calls.
    """

    def __init__(
        self,
        log: FilteringBoundLogger,
        active: ActiveModel,
        figures: ServingFigures,
        witnesses: Sequence[CallWitness],
        apart: Mapping[str, ThreadPoolExecutor],
    ) -> None:
        self._log = log
        self._active = active
        self._figures = figures
        self._witnesses = (figures.ended, *witnesses)
        self._apart = apart
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Request, Response] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Request, Response] | None:
        """Put the boundary around one method; gRPC asks for it at every call, and gets what it got before."""
        method = handler_call_details.method
        known = self._handlers.get(method)
        if known is not None:
            return known
        handler = continuation(handler_call_details)
        if handler is None or method.startswith(OPEN_METHODS):
            return handler
        bounded = self._handlers[method] = self._bounded(method, handler)
        return bounded

    def _bounded(
        self, method: str, handler: grpc.RpcMethodHandler[Request, Response]
    ) -> grpc.RpcMethodHandler[Request, Response]:
        boundary = _Boundary(method, self._log, self._active, self._figures, self._witnesses)
        forms = handler.request_deserializer, _written(handler.response_serializer)
        threads = self._apart.get(method)
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(_Unary(handler.unary_unary, boundary, threads), *forms)
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(_Stream(handler.stream_stream, boundary, threads), *forms)
        assert handler.unary_stream is not None
        return grpc.unary_stream_rpc_method_handler(_Stream(handler.unary_stream, boundary, threads), *forms)


def _written(serialize: Callable[[Response], bytes] | None) -> Callable[[Response | bytes], bytes]:
    """An answer may be in wire format already."""
    assert serialize is not None
    return lambda response: response if isinstance(response, bytes) else serialize(response)


@dataclass(frozen=True, slots=True)
class _Boundary:
    method: str
    log: FilteringBoundLogger
    active: ActiveModel
    figures: ServingFigures
    witnesses: Sequence[CallWitness]

    @contextmanager
    def around(self, context: grpc.ServicerContext, *, is_stream: bool) -> Iterator[None]:
        """Log and count what happens inside, and end the call with a status where it raises."""
        self.figures.began()
        release_id = self.active.current().release_id
        call = CallRecord.begin(self.method, release_id, context.invocation_metadata(), is_stream=is_stream)
        facts(context).request_id = call.request_id
        context.set_trailing_metadata(call.trailer)
        try:
            yield
        except UnbraidError as error:
            code = status_code(error)
            level = LEVELS.get(code, logging.WARNING)
            self.log.log(level, "call refused", **self.ended(call, context, code), error=short(error.message))
            _abort(context, rich_status(error, call.request_id), call)
        except Exception:
            self.log.exception("call failed", **self.ended(call, context, grpc.StatusCode.INTERNAL))
            _abort(context, internal_status(call.request_id), call)
        except GeneratorExit:
            # gRPC asks a stream for no more when its caller leaves.
            self.log.debug("call", **self.ended(call, context, grpc.StatusCode.CANCELLED))
            raise
        self.log.debug("call", **self.ended(call, context, grpc.StatusCode.OK))

    def ended(self, call: CallRecord, context: grpc.ServicerContext, code: grpc.StatusCode) -> dict[str, str | float]:
        """Tell the witnesses, and return what every line about a call says."""
        call.end(code.name)
        for witness in self.witnesses:
            witness(call)
        caller = principal(context)
        return {
            **({} if caller is None else {"caller": caller.name}),
            "release_id": call.release_id,
            "request_id": call.request_id,
            "method": call.method,
            "code": call.code,
            "duration_ms": round(call.duration_s * 1e3, 3),
        }


def _abort(context: grpc.ServicerContext, status: grpc.Status, call: CallRecord) -> NoReturn:
    """End the call with a status. ``abort_with_status`` would leave nothing but the details in the trailer."""
    context.set_trailing_metadata((*status.trailing_metadata, *call.trailer))
    context.abort(status.code, status.details)


@dataclass(frozen=True, slots=True)
class _Unary(Generic[Request, Response]):
    behaviour: Callable[[Request, grpc.ServicerContext], Response]
    boundary: _Boundary
    # gRPC looks for it under this name; None stands for the threads of all calls.
    experimental_thread_pool: ThreadPoolExecutor | None

    def __call__(self, request: Request, context: grpc.ServicerContext) -> Response:
        with self.boundary.around(context, is_stream=False):
            return self.behaviour(request, context)


@dataclass(frozen=True, slots=True)
class _Stream(Generic[Request, Response]):
    behaviour: Callable[[Request, grpc.ServicerContext], Iterator[Response]]
    boundary: _Boundary
    experimental_thread_pool: ThreadPoolExecutor | None

    def __call__(self, request: Request, context: grpc.ServicerContext) -> Iterator[Response]:
        with self.boundary.around(context, is_stream=True):
            yield from self.behaviour(request, context)
