"""The callers of ``closed_loop`` over HTTP/1.1: one thread, a connection for each, requests of bytes."""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

__all__ = ["http_latencies", "http_request"]

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
OK = b"HTTP/1.1 200"
CHUNK_BYTES = 65_536


def http_request(url: str, body: bytes, content_type: str) -> bytes:
    """A POST as it goes over the wire."""
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


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
        self._received += self.socket.recv(CHUNK_BYTES)
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank or len(body) < int((LENGTH.search(head) or [b"", b"0"])[1]):
            return None
        if not head.startswith(OK):
            raise ConnectionError(head.decode())
        return time.perf_counter() - self._began_s


def http_latencies(requests: Iterator[bytes], url: str, callers: int, seconds: float) -> list[float]:
    """Seconds that each call took, of callers that ask again as soon as they are answered."""
    parts = urlsplit(url)
    until_s = time.perf_counter() + seconds
    latencies_s: list[float] = []
    with selectors.DefaultSelector() as selector:
        for _ in range(callers):
            connection = _Connection((str(parts.hostname), int(parts.port or 80)))
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.ask(next(requests))
        while selector.get_map():
            for key, _ in selector.select():
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
