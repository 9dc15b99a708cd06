"""The callers of ``closed_loop`` over gRPC: one thread, some callers a connection, requests of bytes."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import cycle

import grpc
from benchmarks.raw_connection import RawConnection

__all__ = ["grpc_latencies"]

CALLERS_OF_A_CONNECTION = 8
TIMEOUT_S = 10.0
OK = grpc.StatusCode.OK.value[0]


def grpc_latencies(method: str, requests: Iterator[bytes], target: str, callers: int, seconds: float) -> list[float]:
    """Seconds that each call took, of callers that ask again as soon as they are answered.

    Raises:
        OSError: where a call is answered with an error, or not.
    """
    count = -(-callers // CALLERS_OF_A_CONNECTION)
    with ExitStack() as stack:
        connections = [stack.enter_context(closing(RawConnection(target, method, TIMEOUT_S))) for _ in range(count)]
        return list(_play(connections, requests, callers, time.perf_counter() + seconds))


def _play(
    connections: Sequence[RawConnection], requests: Iterator[bytes], callers: int, until_s: float
) -> Iterator[float]:
    for _, connection in zip(range(callers), cycle(connections), strict=False):
        connection.call(next(requests), time.perf_counter())
    while any(connection.in_progress for connection in connections):
        for connection in connections:
            connection.flush()
        unsent = [connection for connection in connections if connection.has_unsent]
        readable, writable, _ = select.select(connections, unsent, [], TIMEOUT_S)
        if not readable and not writable:
            raise TimeoutError(f"no answer within {TIMEOUT_S:.0f} s")
        for connection in readable:
            for ended in connection.receive():
                if ended.code != OK:
                    raise ConnectionError(f"a call ended with status {ended.code}")
                yield ended.ended_s - ended.made_s
                if ended.ended_s < until_s:
                    connection.call(next(requests), ended.ended_s)
