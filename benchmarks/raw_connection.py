"""A connection for calls of one gRPC method that cost their caller next to nothing.

A gRPC client in Python takes as much processor time for a call as its server, so it cannot flood one. This writes and
reads the frames of HTTP/2 (RFC 9113) itself: requests are bytes, headers are the same for all calls, and of an answer
nothing but the status is looked at. The server is told to keep no table of headers, so that the status is plain text.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import NamedTuple

__all__ = ["Ended", "RawConnection"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM = ACK = 1
END_HEADERS = 4
HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE = 1, 4
CANCEL = struct.pack(">I", 8)
FRAME = struct.Struct(">IBI")  # 24 bits of length and 8 of kind, flags, stream
SETTING = struct.Struct(">HI")
# How much may be on its way to a server that has said nothing else, and be in a frame.
FIRST_WINDOW = 65_535
LARGEST_FRAME = 16_384
# What the server may send before it hears of this side again.
OWN_WINDOW = 2**30
READ_SIZE = 2**18
STATUS = b"grpc-status"
DEADLINE_EXCEEDED, INTERNAL = 4, 13


class Ended(NamedTuple):
    """A call that has ended.

    Attributes:
        code: of gRPC; INTERNAL where the server gave none.
        due_s, made_s, ended_s: when it was due, was made, and ended, by ``time.perf_counter``.
    """

    code: int
    due_s: float
    made_s: float
    ended_s: float


class RawConnection:
    """Makes calls of one method. Nothing blocks: what cannot be written yet waits here.

    Args:
        target: ``host:port`` of a server without TLS.
        method: its path.
        timeout_s: deadline of every call.
    """

    def __init__(self, target: str, method: str, timeout_s: float) -> None:
        host, _, port = target.rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        settings = SETTING.pack(HEADER_TABLE_SIZE, 0) + SETTING.pack(INITIAL_WINDOW_SIZE, OWN_WINDOW)
        self._unsent = bytearray(PREFACE + _frame(SETTINGS, 0, 0, settings) + _window(OWN_WINDOW))
        self._unread = bytearray()
        self._headers = _headers(target, method, timeout_s)
        self._timeout_s = timeout_s
        self._window = FIRST_WINDOW
        self._next_stream = 1
        self._held: deque[tuple[bytes, float, float]] = deque()
        self._made: dict[int, tuple[float, float]] = {}  # when calls in progress were due, and made, by stream
        self._received_bytes = 0

    def fileno(self) -> int:
        """For ``select``."""
        return self._socket.fileno()

    @property
    def in_progress(self) -> int:
        """Calls that have not ended."""
        return len(self._made) + len(self._held)

    @property
    def has_unsent(self) -> bool:
        """Whether ``flush`` has something left to do."""
        return bool(self._unsent)

    def call(self, request: bytes, due_s: float) -> None:
        """Make a call; it is sent by the next ``flush``, or when the server has room for it."""
        self._held.append((request, due_s, perf_counter()))
        self._send_held()

    def flush(self) -> None:
        """Write what the socket takes."""
        if self._unsent:
            try:
                del self._unsent[: self._socket.send(self._unsent)]
            except BlockingIOError:
                return

    def receive(self) -> Iterator[Ended]:
        """Read what has arrived: the calls that end with it.

        Raises:
            ConnectionError: the server has closed the connection.
        """
        try:
            data = self._socket.recv(READ_SIZE)
        except BlockingIOError:
            return
        if not data:
            raise ConnectionResetError("the server has closed the connection")
        self._unread += data
        now_s = perf_counter()
        for kind, flags, stream, content in self._frames():
            if kind == DATA:
                self._received_bytes += len(content)
            elif (kind == HEADERS and flags & END_STREAM) or kind == RST_STREAM:
                # Calls that were given up are not known any more.
                if stream in self._made:
                    yield Ended(_status(content), *self._made.pop(stream), now_s)
            else:
                self._hear(kind, flags, stream, content)
        if self._received_bytes > OWN_WINDOW // 2:
            self._unsent += _window(self._received_bytes)
            self._received_bytes = 0
        self._send_held()

    def give_up(self) -> Iterator[Ended]:
        """End the calls whose deadline has passed."""
        now_s = perf_counter()
        while self._made:
            stream, (due_s, made_s) = next(iter(self._made.items()))
            if now_s - made_s < self._timeout_s:
                break
            del self._made[stream]
            self._unsent += _frame(RST_STREAM, 0, stream, CANCEL)
            yield Ended(DEADLINE_EXCEEDED, due_s, made_s, now_s)
        while self._held and now_s - self._held[0][2] >= self._timeout_s:
            yield Ended(DEADLINE_EXCEEDED, *self._held.popleft()[1:], now_s)

    def close(self) -> None:
        """Leave, whatever is in progress."""
        self._socket.close()

    def _send_held(self) -> None:
        """Hand calls to the socket, as many as the server has room for."""
        while self._held and len(self._held[0][0]) + 5 <= self._window:
            request, *times = self._held.popleft()
            message = b"\0" + struct.pack(">I", len(request)) + request
            self._unsent += _frame(HEADERS, END_HEADERS, self._next_stream, self._headers)
            for start in range(0, len(message), LARGEST_FRAME):
                last = start + LARGEST_FRAME >= len(message)
                content = message[start : start + LARGEST_FRAME]
                self._unsent += _frame(DATA, END_STREAM if last else 0, self._next_stream, content)
            self._made[self._next_stream] = (times[0], times[1])
            self._window -= len(message)
            self._next_stream += 2

    def _frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Kind, flags, stream and content of the frames that have arrived whole."""
        unread, start = self._unread, 0
        while len(unread) - start >= FRAME.size:
            length_and_kind, flags, stream = FRAME.unpack_from(unread, start)
            end = start + FRAME.size + (length_and_kind >> 8)
            if end > len(unread):
                break
            yield length_and_kind & 0xFF, flags, stream, bytes(unread[start + FRAME.size : end])
            start = end
        del unread[:start]

    def _hear(self, kind: int, flags: int, stream: int, content: bytes) -> None:
        """Frames that are not about a single call."""
        if kind in {SETTINGS, PING} and not flags & ACK:
            self._unsent += _frame(kind, ACK, 0, content if kind == PING else b"")
        elif kind == WINDOW_UPDATE and stream == 0:
            self._window += int.from_bytes(content, "big")
        elif kind == GOAWAY:
            raise ConnectionResetError(f"the server takes no more calls: {content[8:].decode(errors='replace')}")


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return FRAME.pack(len(content) << 8 | kind, flags, stream) + content


def _window(size: int) -> bytes:
    return _frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", size))


def _headers(target: str, method: str, timeout_s: float) -> bytes:
    """The headers of a call in HPACK (RFC 7541), none of which gets into a table."""
    fields: Sequence[tuple[bytes, bytes]] = (
        (b":path", method.encode()),
        (b":authority", target.encode()),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        (b"grpc-timeout", b"%dm" % round(timeout_s * 1e3)),
    )
    post, http = b"\x83", b"\x86"  # of the static table
    return post + http + b"".join(b"\0%c%b%c%b" % (len(name), name, len(value), value) for name, value in fields)


def _status(headers: bytes) -> int:
    """The code of gRPC among headers that end a call, which are plain text."""
    _, found, rest = headers.partition(STATUS)
    return int(rest[1 : 1 + rest[0]]) if found else INTERNAL
