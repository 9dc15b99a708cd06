"""grpc.health.v1 for every service, and the end of its watches when the server drains."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import grpc
from grpc_health.v1 import health
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

__all__ = ["Health"]

SendResponse = Callable[[HealthCheckResponse | None], None]


class Health(health.HealthServicer):
    """Health of the whole server (the empty name) and of each service.

    A watch is a call that never ends by itself: a server that waits for its calls would wait for every watcher until
    its grace is over. So watchers are told that the server drains, and then let go.
    """

    def __init__(self, service_names: Iterable[str]) -> None:
        super().__init__()
        self._names = ("", *service_names)
        self._watchers: set[SendResponse] = set()
        for name in self._names:
            self.set(name, HealthCheckResponse.NOT_SERVING)

    def Watch(  # type: ignore[override] # noqa: N802 - the stub has an overload for blocking use, which ours never is
        self, request: HealthCheckRequest, context: grpc.ServicerContext, send_response_callback: SendResponse
    ) -> None:
        """Send the health of a service now and whenever it changes."""
        self._watchers.add(send_response_callback)
        context.add_callback(lambda: self._watchers.discard(send_response_callback))
        super().Watch(request, context, send_response_callback)

    def serve(self) -> None:
        """Tell everybody that the server is ready."""
        for name in self._names:
            self.set(name, HealthCheckResponse.SERVING)

    def drain(self) -> None:
        """Tell everybody that the server stops, and end the watches."""
        self.enter_graceful_shutdown()
        for send_response in tuple(self._watchers):
            send_response(None)
