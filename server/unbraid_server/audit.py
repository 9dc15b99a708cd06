"""A line in the audit log for every call that changes something, or was to change it and was refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import grpc

from unbraid_core.errors import UnbraidError
from unbraid_server.call_facts import facts
from unbraid_server.error_status import short
from unbraid_server.status_codes import status_code
from unbraid_server.wrapped_handler import Behaviour, wrapped

__all__ = ["AUDITED", "Audit"]

MAX_TARGETS = 10

# For every method that changes something: what the caller names.
AUDITED: Mapping[str, Callable[[Any], Sequence[str]]] = {
    "/unbraid.v1.CatalogService/UpsertItems": lambda request: [item.item_id for item in request.items],
    "/unbraid.v1.CatalogService/DeleteItems": lambda request: request.item_ids,
    "/unbraid.v1.ReleaseService/ActivateRelease": lambda request: [request.release_id],
    "/unbraid.v1.ReleaseService/RollbackRelease": lambda request: [request.active_release_id],
    "/unbraid.v1.ReleaseService/RebuildIndex": lambda request: [request.release_id or "the active one"],
}


class Audit(grpc.ServerInterceptor):
    """Writes down who changed what, when, and how it ended.

    It belongs between the boundary of calls, which gives a call its id, and whatever may refuse it.

    Args:
        write: takes a line.
        now: epoch seconds.
    """

    def __init__(self, write: Callable[[Mapping[str, Any]], None], now: Callable[[], float]) -> None:
        self._write, self._now = write, now

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Keep the record of one method."""
        handler = continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method not in AUDITED:
            return handler
        streams = handler.response_streaming

        def recorded(behaviour: Behaviour) -> Behaviour:
            def answer(request: Any, context: grpc.ServicerContext) -> Any:
                with self._record(method, request, context):
                    return behaviour(request, context)

            def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
                with self._record(method, request, context):
                    yield from behaviour(request, context)

            return stream if streams else answer

        return wrapped(handler, recorded)

    @contextmanager
    def _record(self, method: str, request: Any, context: grpc.ServicerContext) -> Iterator[None]:
        outcome = grpc.StatusCode.INTERNAL
        try:
            yield
            outcome = grpc.StatusCode.OK
        except UnbraidError as error:
            outcome = status_code(error)
            raise
        except GeneratorExit:
            outcome = grpc.StatusCode.CANCELLED
            raise
        finally:
            self._write(self._line(method, request, context, outcome))

    def _line(
        self, method: str, request: Any, context: grpc.ServicerContext, outcome: grpc.StatusCode
    ) -> dict[str, Any]:
        targets, about = AUDITED[method](request), facts(context)
        return {
            "time": datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds"),
            "caller": None if about.principal is None else about.principal.name,
            "peer": context.peer(),
            "method": method,
            "request_id": about.request_id,
            "target_count": len(targets),
            "targets": [short(target) for target in targets[:MAX_TARGETS]],
            "outcome": outcome.name,
        }
