"""Where Prometheus reads metrics, over HTTP."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, start_http_server

from unbraid_core.errors import Unavailable

__all__ = ["MetricsEndpoint"]


class MetricsEndpoint:
    """Answers scrapes in a thread of its own until it is closed.

    Args:
        registry: what is read.
        host: address to listen on.
        port: 0 takes any free one.

    Raises:
        Unavailable: the address cannot be had.
    """

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        try:
            self._http, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise Unavailable(
                f"cannot listen on {host}:{port} for metrics: {error.strerror}; choose another --metrics-port"
            ) from None

    @property
    def port(self) -> int:
        """On which it listens."""
        return self._http.server_port

    def close(self) -> None:
        """Answer no more scrapes."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
