"""Kills workers of a server under a steady load, and says what its callers noticed.

    python -m benchmarks.worker_ends [--items 20000] [--callers 8] [--rate 20] [--ends 10]

Half of the callers retry as the Python client does. The others do not, but wait for a connection, so that each failure
is a call that was in progress with the worker. First workers are killed with SIGKILL, then others are asked to leave
with SIGTERM; each has lived for eleven seconds or more. Prints failed calls, and how long it took until the worker that
came instead answered a new connection. Exits with 1 where a call failed that was retried, or a worker that was killed
was not replaced within 3 s. The default takes about three minutes, and a minute more where cores are few.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

import grpc
from benchmarks.server_process import server_process
from benchmarks.synthetic_release import item_id, publish_synthetic_release
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.progress import track
from rich.table import Table

from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1 import status_pb2
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid.v1.status_pb2_grpc import StatusServiceStub
from unbraid_client.channel import CHANNEL_OPTIONS
from unbraid_core.release import ReleaseStore

TIMEOUT_S = 20.0
# A worker that ends within ten seconds is no longer replaced at once. The oldest of two ends each time.
APART_S = 5.5
LONGEST_AWAY_S = 3.0
ONE_CONNECTION_EACH = ("grpc.use_local_subchannel_pool", 1)


@dataclass(slots=True)
class Calls:
    """What some callers noticed."""

    answered: int = 0
    failed: list[str] = field(default_factory=list)


def call(target: str, every_s: float, stop: Event, retries: bool) -> Calls:
    """Ask at a rate until somebody says stop."""
    calls = Calls()
    events = [pb.Event(item_id=item_id(row), event_time=Timestamp(seconds=row + 1)) for row in range(50)]
    question = pb.RecommendRequest(history=pb.History(events=events), limit=20)
    options = CHANNEL_OPTIONS if retries else (("grpc.enable_retries", 0),)
    with grpc.insecure_channel(target, options=[*options, ONE_CONNECTION_EACH]) as channel:
        recommend = RecommendationServiceStub(channel).Recommend
        while not stop.wait(every_s):
            answer = recommend.future(question, timeout=TIMEOUT_S, wait_for_ready=not retries)
            if answer.code() is grpc.StatusCode.OK:
                calls.answered += 1
            else:
                calls.failed.append(answer.code().name)
    return calls


def replaced_after_s(target: str, process_id: int, number: signal.Signals) -> float:
    """End a worker, and wait until a new connection leads to one that has started since; status calls are retried."""
    ended_s = time.time()
    os.kill(process_id, number)
    while True:
        with grpc.insecure_channel(target, options=[*CHANNEL_OPTIONS, ONE_CONNECTION_EACH]) as channel:
            ask = StatusServiceStub(channel).GetStatus
            status = ask(status_pb2.GetStatusRequest(), timeout=TIMEOUT_S, wait_for_ready=True)
        if status.start_time.ToNanoseconds() / 1e9 > ended_s:
            return time.time() - ended_s
        time.sleep(0.02)


def children(process_id: int) -> list[int]:
    """The workers of a supervisor, the oldest first."""
    return [int(each) for each in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()]


@dataclass(frozen=True, slots=True)
class Found:
    """What came of ending workers with one signal: calls of those that retry, of the others, and seconds each."""

    retried: list[Calls]
    plain: list[Calls]
    away_s: list[float]

    @property
    def row(self) -> tuple[str, ...]:
        """Of the table, without the name of the signal."""
        failures = [
            f"{sum(len(each.failed) for each in group)} of {sum(each.answered for each in group):,}"
            for group in (self.retried, self.plain)
        ]
        median_s, most_s = statistics.median(self.away_s), max(self.away_s)
        return str(len(self.away_s)), *failures, f"{median_s:.2f} s", f"{most_s:.2f} s"


def play(target: str, supervisor: int, options: argparse.Namespace, number: signal.Signals) -> Found:
    """End workers with one signal."""
    stop = Event()
    with ThreadPoolExecutor(options.callers) as pool:
        every_s = 1.0 / options.rate
        kinds = [caller % 2 == 0 for caller in range(options.callers)]
        callers = [pool.submit(call, target, every_s, stop, retries) for retries in kinds]
        away_s = []
        try:
            for _ in track(range(options.ends), number.name):
                time.sleep(APART_S)
                away_s.append(replaced_after_s(target, children(supervisor)[0], number))
        finally:
            stop.set()
    retried, plain = (
        [caller.result() for caller, retries in zip(callers, kinds, strict=True) if retries is kind]
        for kind in (True, False)
    )
    return Found(retried, plain, away_s)


def main() -> int:
    """Print the table; exit with 1 where callers that retry noticed, or a worker was away for too long."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--rate", type=float, default=20.0, help="calls a second of each caller")
    parser.add_argument("--ends", type=int, default=10, help="workers that end, of each kind")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        store = ReleaseStore(Path(folder) / "releases")
        now = datetime.now(UTC)
        store.activate(publish_synthetic_release(store, options.items, "item", now), now)
        with server_process(store.root, "--workers", "2") as (target, process_id):
            killed, asked = (play(target, process_id, options, each) for each in (signal.SIGKILL, signal.SIGTERM))
    table = Table("signal", "ends", "failed, retried", "failed, not retried", "replaced after", "at most")
    table.add_row("SIGKILL", *killed.row)
    table.add_row("SIGTERM", *asked.row)
    console = Console(width=110)
    console.print(table)
    is_met = max(killed.away_s) <= LONGEST_AWAY_S and not any(each.failed for each in killed.retried + asked.retried)
    console.print("met" if is_met else "not met")
    return int(not is_met)


if __name__ == "__main__":
    sys.exit(main())
