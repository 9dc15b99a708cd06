"""Measures what a request costs a server, next to what the pipeline alone costs, and next to other servers.

    python -m benchmarks.serving [--items 100000] [--seconds 2] [--rounds 5] [--only NAME] [--releases DIR] [--json F]

Every server runs in processes of its own and answers the same requests: histories of 50 events, 50 items each. A round
asks each of them in turn, so that what else runs on the machine disturbs all alike; the table shows medians over the
rounds. CPU is that of the server's processes, not that of the load. docs/performance.md says how to read the table.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from benchmarks.cpu_time import cpu_s
from benchmarks.ordered_process import OrderedProcess
from benchmarks.server_process import server_process
from benchmarks.serving_peers import PEERS, inline_process, peer_process
from benchmarks.synthetic_release import publish_synthetic_release
from rich.console import Console
from rich.progress import track
from rich.table import Table

from unbraid_core.release import ReleaseStore

COMPUTE = "pipeline alone, 32 at once"
USERS = 1_000
BATCH = 32
TITLE = "A title of about forty letters, as usual"

# What one measurement says: calls (questions answered), wall_s, cpu_s; of servers load_cpu_s, p50_s and p99_s too.
Measurement = Mapping[str, float]
Contender = Callable[[float], Measurement]


def main() -> int:
    """Play all rounds and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="start and ask only what has this in its name")
    parser.add_argument("--releases", type=Path, help="keep the release there, for the next run")
    parser.add_argument("--json", type=Path, help="write all measurements")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = options.releases or Path(stack.enter_context(TemporaryDirectory())) / "releases"
        publish(folder, options.items)
        rounds = play(contenders(stack, folder, options.items, options.only), options.rounds, options.seconds)
    Console(width=120).print(table(rounds))
    if options.json:
        options.json.write_text(json.dumps(rounds, indent=1))
    return 0


def publish(folder: Path, item_count: int) -> None:
    """Make a release active in the folder, where none is."""
    store = ReleaseStore(folder)
    if store.current_id() is None:
        now = datetime.now(UTC)
        store.activate(publish_synthetic_release(store, item_count, TITLE, now), now)


def contenders(stack: ExitStack, releases: Path, item_count: int, only: str) -> dict[str, Contender]:
    """Everything that is measured, running, by name."""
    made = str(item_count), str(USERS)
    pipeline = stack.enter_context(OrderedProcess("benchmarks.compute_loop", str(releases), *made))
    with beside_the_first_core():
        load = stack.enter_context(OrderedProcess("benchmarks.closed_loop", *made))

    def asked(target: str, process_id: int, form: str, callers: int) -> Contender:
        def ask(seconds: float) -> Measurement:
            before_s = cpu_s(process_id)
            seen = load.ask(form=form, target=target, callers=callers, seconds=seconds)
            return {**seen, "cpu_s": cpu_s(process_id) - before_s}

        return ask

    running: dict[str, Contender] = {COMPUTE: lambda seconds: pipeline.ask(batch=BATCH, seconds=seconds)}
    for server in servers(releases):
        wanted = [each for each in server.questions if only in f"{server.name}, {each.name}"]
        if wanted:
            target, process_id = stack.enter_context(server.start())
            for each in wanted:
                running[f"{server.name}, {each.name}"] = asked(target, process_id, each.form, each.callers)
    return running


@contextmanager
def beside_the_first_core() -> Iterator[None]:
    """What is started meanwhile leaves the first core, on which pinned servers are, to them."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores - {min(cores)} or cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


class Question(NamedTuple):
    """What a server is asked: a form of requests, and by how many callers."""

    name: str
    form: str
    callers: int


class ServerKind(NamedTuple):
    """A server, how to start it, and what it is asked. A running one is a target and a process id."""

    name: str
    start: Callable[[], AbstractContextManager[tuple[str, int]]]
    questions: Sequence[Question]


def servers(releases: Path) -> Iterator[ServerKind]:
    """All that are measured."""

    def calls(*counts: int, form: str = "recommend") -> list[Question]:
        return [Question(f"{count} callers", form, count) for count in counts]

    pinned = partial(server_process, releases, pin_workers="true")
    many = [
        Question("BatchRecommend of 32, 2 callers", "batch", 2),
        Question("StreamRecommend, 64 on their way", "stream", 64),
    ]
    yield ServerKind("unbraid", partial(pinned, interest_cache_mb="0"), [*calls(1, 8, 32, 128), *many])
    yield ServerKind("unbraid with its cache", pinned, [*calls(32), *many])
    yield ServerKind("unbraid on any core", partial(server_process, releases, interest_cache_mb="0"), calls(1, 32))
    two_workers = partial(server_process, releases, "--workers", "2", interest_cache_mb="0")
    yield ServerKind("unbraid with 2 workers", two_workers, calls(32, 128))
    yield ServerKind("unbraid without batcher", partial(inline_process, releases), calls(1, 32))
    for name, peer in PEERS.items():
        yield ServerKind(name, partial(peer_process, peer, releases), calls(1, 32, form=peer.form))


def play(asked: Mapping[str, Contender], rounds: int, seconds: float) -> dict[str, list[Measurement]]:
    """Ask each once to warm it up, then each in every round."""
    for ask in asked.values():
        ask(seconds)
    measurements: dict[str, list[Measurement]] = {name: [] for name in asked}
    for _ in track(range(rounds), "rounds"):
        for name, ask in asked.items():
            measurements[name].append(ask(seconds))
    return measurements


def table(rounds: Mapping[str, list[Measurement]]) -> Table:
    """Medians over the rounds; the ratio of two costs is formed within a round."""
    columns = Table("", "requests/s", "CPU us a request", "pipeline / CPU", "p50 ms", "p99 ms", "load us")
    compute_us = costs_us(rounds[COMPUTE])
    for name, measurements in rounds.items():
        cost_us = costs_us(measurements)
        latencies = [
            f"{1e3 * median(each[quantile] for each in measurements):.1f}" if quantile in measurements[0] else ""
            for quantile in ("p50_s", "p99_s")
        ]
        columns.add_row(
            name,
            f"{median(each['calls'] / each['wall_s'] for each in measurements):,.0f}",
            f"{median(cost_us):,.0f}",
            f"{median(alone / cost for alone, cost in zip(compute_us, cost_us, strict=True)):.2f}",
            *latencies,
            f"{1e6 * median(each.get('load_cpu_s', 0) / each['calls'] for each in measurements):.0f}",
        )
    return columns


def costs_us(measurements: Iterable[Measurement]) -> list[float]:
    """CPU time of a question, in each."""
    return [1e6 * each["cpu_s"] / each["calls"] for each in measurements]


def median(values: Iterable[float]) -> float:
    """Of some numbers."""
    return float(np.median(list(values)))


if __name__ == "__main__":
    sys.exit(main())
