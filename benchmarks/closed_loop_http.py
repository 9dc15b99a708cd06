"""The callers of ``closed_loop`` over HTTP/1.1: one thread, a connection for each, requests of bytes."""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

__all__ = ["http_latencies", "http_request"]

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
OK = b"HTTP/1.1 200"
CHUNK_BYTES = 65_536
TIMEOUT_S = 10.0


def http_request(url: str, body: bytes, content_type: str, headers: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """A POST as it goes over the wire."""
    parts = urlsplit(url)
    all_headers = {"Host": parts.netloc, "Content-Type": content_type, "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items())
    return f"POST {parts.path} HTTP/1.1\r\n{head}\r\n".encode() + body


class _Connection:
    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self._began_s = 0.0

    def ask(self, request: bytes) -> None:
        self._received, self._began_s = b"", time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> float | None:
        """Seconds that the answer took, None where there is more of it to come."""
        chunk = self.socket.recv(CHUNK_BYTES)
        if not chunk:
            raise ConnectionError("the server hung up")
        self._received += chunk
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank or len(body) < int((LENGTH.search(head) or [b"", b"0"])[1]):
            return None
        if not head.startswith(OK):
            raise ConnectionError(head.decode())
        return time.perf_counter() - self._began_s


def http_latencies(requests: Iterator[bytes], url: str, callers: int, seconds: float) -> list[float]:
    """Seconds that each call took, of callers that ask again as soon as they are answered.

    Raises:
        OSError: where a call is answered with an error, or not.
    """
    parts = urlsplit(url)
    until_s = time.perf_counter() + seconds
    latencies_s: list[float] = []
    with selectors.DefaultSelector() as selector:
        for _ in range(callers):
            connection = _Connection((str(parts.hostname), int(parts.port or 80)))
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.ask(next(requests))
        while selector.get_map():
            ready = selector.select(TIMEOUT_S)
            if not ready:
                raise TimeoutError(f"no answer within {TIMEOUT_S:.0f} s")
            for key, _ in ready:
                connection = key.data
                if (latency_s := connection.receive()) is None:
                    continue
                latencies_s.append(latency_s)
                if time.perf_counter() < until_s:
                    connection.ask(next(requests))
                else:
                    selector.unregister(connection.socket)
                    connection.socket.close()
    return latencies_s
