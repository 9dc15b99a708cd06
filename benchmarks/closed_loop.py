"""Callers that each ask again as soon as they are answered, with requests of bytes and answers that nobody reads.

    python -m benchmarks.closed_loop ITEMS USERS

It takes orders: target, method, callers, seconds. One thread a connection plays all callers of it, so that the load
takes as little of the machine as Python allows.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
from benchmarks.ordered_process import answer_orders
from benchmarks.serving_requests import recommend_requests

CALLERS_OF_A_CONNECTION = 8
UNLIMITED = -1


class Caller:
    """Asks until it is too late."""

    def __init__(
        self, ask: grpc.UnaryUnaryMultiCallable[bytes, bytes], requests: Iterator[bytes], until_s: float
    ) -> None:
        self._ask, self._requests, self._until_s = ask, requests, until_s
        self._began_s = 0.0
        self.latencies_s: list[float] = []
        self.failed = 0
        self.done = threading.Event()

    def go_on(self) -> None:
        """Ask once more, or stop."""
        self._began_s = time.perf_counter()
        if self._began_s > self._until_s:
            self.done.set()
        else:
            self._ask.future(next(self._requests)).add_done_callback(self._answered)

    def _answered(self, call: grpc.Future[bytes]) -> None:
        self.latencies_s.append(time.perf_counter() - self._began_s)
        self.failed += call.exception() is not None
        self.go_on()


def load(requests: Iterator[bytes], target: str, method: str, callers: int, seconds: float) -> dict[str, Any]:
    """Play so many callers for so long."""
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", UNLIMITED))
    channels = [
        grpc.insecure_channel(target, [*options, ("connection", number)])
        for number in range(-(-callers // CALLERS_OF_A_CONNECTION))
    ]
    for channel in channels:
        grpc.channel_ready_future(channel).result()
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    players = [
        Caller(channels[number % len(channels)].unary_unary(method), requests, began_s + seconds)
        for number in range(callers)
    ]
    for player in players:
        player.go_on()
    for player in players:
        player.done.wait()
    wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    for channel in channels:
        channel.close()
    latencies_s = np.concatenate([player.latencies_s for player in players])
    return {
        "calls": len(latencies_s),
        "failed": sum(player.failed for player in players),
        "wall_s": wall_s,
        "load_cpu_s": cpu_s,
        "p50_s": float(np.quantile(latencies_s, 0.5)),
        "p99_s": float(np.quantile(latencies_s, 0.99)),
    }


def main() -> int:
    """Make the requests and answer orders."""
    item_count, user_count = map(int, sys.argv[1:])
    messages = [request.SerializeToString() for request in recommend_requests(item_count, user_count)]
    requests = itertools.cycle(messages)
    answer_orders(lambda **order: load(requests, **order))
    return 0


if __name__ == "__main__":
    sys.exit(main())
