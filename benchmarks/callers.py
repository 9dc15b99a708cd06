"""What a call costs its caller, made in the three ways that grpcio has for calls that overlap.

    python -m benchmarks.callers [--calls 6000] [--in-flight 32] [--rounds 5]

A server in a process of its own answers 1,200 bytes with 3,000 and does nothing else. Blocking calls in threads,
futures with callbacks, and asyncio take turns. Prints the CPU that the caller takes for a call, medians of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median

import grpc
import grpc.aio
from rich.console import Console
from rich.table import Table

METHOD = "/unbraid.v1.RecommendationService/Recommend"
REQUEST, ANSWER = bytes(1_200), bytes(3_000)
TIMEOUT_S = 30.0


class Echo(grpc.GenericRpcHandler):
    """Answers everything with the same bytes."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:  # noqa: ARG002 - gRPC says so
        """Whatever is called."""
        return grpc.unary_unary_rpc_method_handler(lambda _, __: ANSWER)


def serve(port: Connection) -> None:
    """The server; it runs until it is killed."""
    server = grpc.server(ThreadPoolExecutor(64), handlers=[Echo()], options=[("grpc.so_reuseport", 0)])
    port.send(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    server.wait_for_termination()


def by_threads(target: str, calls: int, in_flight: int) -> None:
    """Blocking calls."""
    with grpc.insecure_channel(target) as channel, ThreadPoolExecutor(in_flight) as pool:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        list(pool.map(lambda _: call(REQUEST, timeout=TIMEOUT_S), range(calls)))


def by_futures(target: str, calls: int, in_flight: int) -> None:
    """Futures whose callbacks begin the next call."""
    left = itertools.count(calls - in_flight, -1)
    done = threading.Semaphore(0)
    with grpc.insecure_channel(target) as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)

        def begin() -> None:
            call.future(REQUEST, timeout=TIMEOUT_S).add_done_callback(end)

        def end(_: object) -> None:
            done.release()
            if next(left) > 0:
                begin()

        for _ in range(in_flight):
            begin()
        for _ in range(calls):
            done.acquire()


def by_asyncio(target: str, calls: int, in_flight: int) -> None:
    """Coroutines."""

    async def make_all() -> None:
        numbers = iter(range(calls))
        async with grpc.aio.insecure_channel(target) as channel:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)

            async def keep_calling() -> None:
                for _ in numbers:
                    await call(REQUEST, timeout=TIMEOUT_S)

            await asyncio.gather(*(keep_calling() for _ in range(in_flight)))

    asyncio.run(make_all())


WAYS: dict[str, Callable[[str, int, int], None]] = {
    "threads": by_threads,
    "futures": by_futures,
    "asyncio": by_asyncio,
}


def main() -> int:
    """Measure, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=6_000)
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    here, there = get_context("spawn").Pipe()
    server = get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    target = f"127.0.0.1:{here.recv()}"
    cpu_us: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(options.rounds):
        for name, make in WAYS.items():
            before_s = time.process_time()
            make(target, options.calls, options.in_flight)
            cpu_us[name].append((time.process_time() - before_s) / options.calls * 1e6)
    server.terminate()
    table = Table("calls made by", "us of CPU a call")
    for name, found in cpu_us.items():
        table.add_row(name, f"{median(found):.0f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
