"""Refuses calls before anything is done for them, while as many are in progress as may be.

gRPC hands every call to a thread, and what that thread does takes time from those that answer, even if it only refuses:
in a flood, refusals would leave little for answers. So the thread that accepts calls refuses them itself, without
reading the request.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import grpc

from unbraid_core.errors import Overloaded
from unbraid_server.batch_record import ShedReason
from unbraid_server.error_status import rich_status
from unbraid_server.serving_figures import ServingFigures

__all__ = ["Door"]

# What asks for work that many may want at once; the state of the server can be asked for in a flood, too.
QUESTIONS = "/unbraid.v1.RecommendationService/"
RETRY_AFTER_S = 0.25

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Door(grpc.ServerInterceptor):
    """The outermost of the interceptors.

    Args:
        limit: calls in progress with which questions are refused.
        figures: of calls.
    """

    def __init__(self, limit: int, figures: ServingFigures) -> None:
        self._limit = limit
        self._figures = figures
        error = Overloaded(f"{limit} calls are in progress; try again later, or ask less often", RETRY_AFTER_S)
        # As a stream, since only for that gRPC does not wait for a request.
        self._refusal: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(
            _Refusal(rich_status(error, request_id=""))
        )

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Let a call in, or refuse it."""
        method = handler_call_details.method
        if self._figures.in_flight_count < self._limit or not method.startswith(QUESTIONS):
            return continuation(handler_call_details)
        self._figures.turned_away(method, ShedReason.TOO_MANY)
        return self._refusal


class _Refusal:
    """Ends calls with a status."""

    def __init__(self, status: grpc.Status) -> None:
        self._status = status
        # gRPC looks for it under this name.
        self.experimental_thread_pool = _Here()

    def __call__(self, _requests: Any, context: grpc.ServicerContext) -> Any:
        context.abort_with_status(self._status)


class _Here(ThreadPoolExecutor):
    """Runs what it is given in the thread that gives it; gRPC takes no other kind of executor."""

    def submit(
        self, fn: Callable[Arguments, Result], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        done: Future[Result] = Future()
        done.set_result(fn(*args, **kwargs))
        return done
