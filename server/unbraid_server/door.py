"""Refuses questions before anything is done for them, while as many calls are in progress as may be.

gRPC hands every call to a thread, and what that thread does takes time from those that answer, even if it only refuses:
in a flood, refusals would leave little for answers. So the thread that accepts calls refuses them itself, without
reading the request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec

import grpc

from unbraid_core.errors import Overloaded
from unbraid_server.asking_shares import AskingShares
from unbraid_server.authentication import HEADER
from unbraid_server.batch_record import ShedReason
from unbraid_server.call_threads import CallThreads
from unbraid_server.error_status import rich_status
from unbraid_server.serving_figures import ServingFigures

__all__ = ["Door"]

# What asks for work that many may want at once; the state of the server can be asked for in a flood, too.
QUESTIONS = "/unbraid.v1.RecommendationService/"
RETRY_AFTER_S = 0.25
# Questions by which the door knows who asks more than others, and the part of its places that is kept from those.
WINDOW = 1_000
KEPT_SHARE = 0.25

Arguments = ParamSpec("Arguments")


class Door(grpc.ServerInterceptor):
    """The outermost of the interceptors.

    Callers are told apart by the token that they send, before anybody looks whether it is valid; no more is known here.
    Who asks more than an even share of the questions finds the door shut a little earlier, so that the others find a
    place. All who send none are one caller.

    Args:
        limit: calls in progress with which questions are refused.
        pools: that calls run in.
        figures: of calls.
    """

    def __init__(self, limit: int, pools: Sequence[CallThreads], figures: ServingFigures) -> None:
        self._limit = limit
        self._limit_of_many = limit - int(KEPT_SHARE * limit)
        self._pools = pools
        self._figures = figures
        self._shares = AskingShares(WINDOW)
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
        if not method.startswith(QUESTIONS) or self._has_room(handler_call_details):
            return continuation(handler_call_details)
        self._figures.turned_away(method, ShedReason.TOO_MANY)
        return self._refusal

    def _has_room(self, details: grpc.HandlerCallDetails) -> bool:
        """Whether there is a place for a question of this caller."""
        token = next((value for key, value in details.invocation_metadata if key == HEADER), "")
        limit = self._limit_of_many if self._shares.asks_much(hash(token)) else self._limit
        return sum(pool.call_count for pool in self._pools) < limit


class _Refusal:
    """Ends calls with a status."""

    def __init__(self, status: grpc.Status) -> None:
        self._status = status
        # gRPC looks for it under this name.
        self.experimental_thread_pool = _Here()

    def __call__(self, _requests: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        # To abort would be an exception, which takes longer.
        context.set_code(self._status.code)
        context.set_details(self._status.details)
        context.set_trailing_metadata(self._status.trailing_metadata)
        return iter(())


class _Here(ThreadPoolExecutor):
    """Runs what it is given in the thread that gives it; gRPC takes no other kind of executor."""

    def __init__(self) -> None:
        super().__init__(max_workers=1)  # a thread that is never started
        # One for all: to make one takes longer than what is run here.
        self._done: Future[Any] = Future()
        self._done.set_result(None)

    def submit(self, fn: Callable[Arguments, Any], /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Future[Any]:
        fn(*args, **kwargs)
        return self._done
