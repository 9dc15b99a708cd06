"""Floods a server with several times as many calls as it can answer, and says what becomes of those that it accepts.

    python -m benchmarks.overload [--times 2 5 10] [--degrade-after-ms 30] [--releases DIR] [--items 100000]
                                   [--seconds 30] [--connections 1] [--queue-limit 40] [--max-calls 40]
                                   [--server-core N] [--generator-core N]

The peak is the best goodput of closed loops with 8, 16 and 32 callers. Then an open loop (Poisson) at 70% of the peak
shows the latency of a server that is well used. A flood is 70% for a moment, a multiple of the peak, and 70% again. The
bounds: goodput of at least 90% of the peak; answers within 3 times the 99th percentile at 70%; refusals within 10 ms at
the 99th percentile; at most 100 MB and 16 threads more than before; normal again within 2 s. Normal is the beginning of
the first second in which 99% of the calls at 70% were answered, within that latency. With one multiple it ends within
150 s, 40 of which make a release where --releases does not name a folder; that is kept, and used again.

The flood comes to a second server, which with --degrade-after-ms has that setting; what it does is compared with the
peak and the latency of the first one, whose answers are all full. ``degraded`` is the share of its answers that were
not, at 70% before the flood, and from then on.

The questions are those of ``benchmarks.serving``, and there is no cache of interests, so that all answers cost alike.
Server and generator have a core each, so that they do not take each other's time; on one core they share it. The
generator writes the frames of HTTP/2 itself (``benchmarks.raw_connection``): a gRPC client in
Python could not flood a server on as much as it has. The table says what share of a core it took, and how many of its
calls were made late. What a refusal costs is the CPU of the server during a flood, less that of its answers at the
peak. ``failed`` are calls that were neither answered nor refused with RESOURCE_EXHAUSTED. How long answers wait is
decided by --max-calls, which refuses before a call is read, and by --queue-limit behind it. Exits with 1 where a bound
is not met.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.core_pair import core_pair
from benchmarks.memory import prepared
from benchmarks.process_watch import Sample, watched
from benchmarks.raw_load import OK, REFUSED, Calls, RawLoad
from benchmarks.server_process import server_process
from benchmarks.serving_requests import recommend_requests
from rich.console import Console
from rich.table import Table

from unbraid_client import UnbraidClient
from unbraid_load import Step

CALLERS = (8, 16, 32)
WELL_USED = 0.7
WARM_UP_S, PEAK_S, USED_S, CALM_S = 3.0, 6.0, 10.0, 5.0
INTERVAL_S, NORMAL_S = 0.25, 1.0
USERS = 3_000
NORMAL_SHARE = 0.99
LEAST_GOODPUT, MOST_SLOWDOWN, MOST_REFUSAL_MS, MOST_RECOVERY_S = 0.9, 3.0, 10.0, 2.0
# What a server may take for calls in progress, and no more however long a flood lasts.
MOST_GROWTH_MB = 100.0
# Threads for calls are there from the beginning; gRPC starts some of its own when much comes.
MOST_NEW_THREADS = 16

console = Console(width=160)


@dataclass(frozen=True, slots=True)
class Flood:
    """What a flood did.

    Attributes:
        times: of the peak.
        calls: of it alone.
        recovery_s: after its end, until calls at 70% were answered as fast as before.
        samples: of the server.
        degraded_shares: of the answers before it, and of those from its beginning on.
        refusal_cpu_s: of the server, for each call that was not answered.
    """

    times: float
    calls: Calls
    recovery_s: float
    samples: Sequence[Sample]
    degraded_shares: tuple[float, float]
    refusal_cpu_s: float


@dataclass(frozen=True, slots=True)
class Usual:
    """What a server does without a flood.

    Attributes:
        peak_rps: the best goodput of closed loops.
        answer_cpu_s: of the server, for an answer at the peak.
        p99_ms: of answers at 70% of the peak.
    """

    peak_rps: float
    answer_cpu_s: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Range:
    """Load of one kind for one server."""

    load: RawLoad
    process_id: int

    def warm_up(self) -> None:
        """Ask until nothing is new to the server."""
        self.load.closed_loop(max(CALLERS), WARM_UP_S)

    def usual(self) -> Usual:
        """Find the peak, and the latency well below it; prints both."""
        self.warm_up()
        peak_rps = answer_cpu_s = 0.0
        for callers in CALLERS:
            before = Sample.of(self.process_id)
            calls = self.load.closed_loop(callers, PEAK_S)
            cpu_s = (Sample.of(self.process_id).cpu_s - before.cpu_s) / max(1, calls.count(OK))
            console.print(
                f"{callers} callers: {calls.goodput_rps:.0f} answers/s, {cpu_s * 1e6:,.0f} us of CPU an answer"
            )
            if calls.goodput_rps > peak_rps:
                peak_rps, answer_cpu_s = calls.goodput_rps, cpu_s
        used = self.load.open_loop([Step(WELL_USED * peak_rps, USED_S)])
        p50_ms, p99_ms = used.percentile_ms(50, OK), used.percentile_ms(99, OK)
        refused_share = 1 - used.count(OK) / len(used.code_C)
        console.print(
            f"peak {peak_rps:.0f}; at {WELL_USED:.0%} p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms, "
            f"{refused_share:.2%} not answered"
        )
        return Usual(peak_rps, answer_cpu_s, p99_ms)

    def flood(self, times: float, usual: Usual, seconds: float) -> Flood:
        """Flood it, and see how it recovers."""
        calm = Step(WELL_USED * usual.peak_rps, CALM_S)
        _, degraded_before = self._degraded(lambda: self.load.open_loop([calm]))
        with watched(self.process_id, INTERVAL_S) as samples:
            calls, degraded = self._degraded(lambda: self.load.open_loop([Step(times * usual.peak_rps, seconds), calm]))
        flood = calls.between(0, seconds)
        after = calls.between(seconds, seconds + CALM_S)
        cpu_s = samples[-1].cpu_s - samples[0].cpu_s - calls.count(OK) * usual.answer_cpu_s
        return Flood(
            times,
            flood,
            _disturbed_s(after, seconds, MOST_SLOWDOWN * usual.p99_ms / 1e3),
            samples,
            (degraded_before, degraded),
            cpu_s / max(1, len(calls.code_C) - calls.count(OK)),
        )

    def _degraded(self, load: Callable[[], Calls]) -> tuple[Calls, float]:
        """The calls of a load, and the share of their answers that were degraded."""
        with UnbraidClient(self.load.target) as client:
            before = client.get_status().serving.degraded_answer_count
            calls = load()
            degraded_count = client.get_status().serving.degraded_answer_count - before
        return calls, degraded_count / max(1, calls.count(OK))


def _disturbed_s(calls: Calls, begin_s: float, longest_s: float) -> float:
    """Seconds from the beginning to the first whole second in which 99% were answered in time; all where none was.

    A Poisson process at 70% fills the places of a server now and then by itself. So a call that is refused seconds
    after a flood says nothing about it.
    """
    for number in range(round((calls.seconds - NORMAL_S) / INTERVAL_S) + 1):
        disturbed_s = number * INTERVAL_S
        part = calls.between(begin_s + disturbed_s, begin_s + disturbed_s + NORMAL_S)
        in_time_C = (part.code_C == OK) & (part.latency_s_C <= longest_s)
        if in_time_C.mean() >= NORMAL_SHARE:
            return disturbed_s
    return calls.seconds


def verdicts(flood: Flood, usual: Usual) -> list[tuple[str, bool]]:
    """Every figure that has a bound, and whether it is met."""
    goodput = flood.calls.goodput_rps / usual.peak_rps
    slowdown = flood.calls.percentile_ms(99, OK) / usual.p99_ms
    refusal_ms = flood.calls.percentile_ms(99, REFUSED)
    resident = [sample.resident_mb for sample in flood.samples]
    threads = [sample.threads for sample in flood.samples]
    return [
        (f"{goodput:.0%}", goodput >= LEAST_GOODPUT),
        (f"{slowdown:.1f}x", slowdown <= MOST_SLOWDOWN),
        (f"{refusal_ms:.1f} ms", refusal_ms <= MOST_REFUSAL_MS),
        (f"{resident[0]:.0f} {max(resident):.0f} {resident[-1]:.0f}", max(resident) - resident[0] <= MOST_GROWTH_MB),
        (f"{threads[0]} {max(threads)} {threads[-1]}", max(threads) - threads[0] <= MOST_NEW_THREADS),
        (f"{flood.recovery_s:.2f} s", flood.recovery_s <= MOST_RECOVERY_S),
    ]


def report_table(floods: Sequence[Flood], usual: Usual) -> tuple[Table, bool]:
    """All floods, and whether every bound is met."""
    heads = ("times", "called", "generator", "late", "failed", "degraded", "us a refusal")
    table = Table(*heads, "goodput", "answers p99", "refusals p99", "MB", "threads", "recovery")
    is_met = True
    for flood in floods:
        calls = flood.calls
        found = verdicts(flood, usual)
        is_met &= all(met for _, met in found)
        failed_count = len(calls.code_C) - calls.count(OK) - calls.count(REFUSED)
        table.add_row(
            f"{flood.times:g}",
            f"{calls.offered_rps:,.0f}/s",
            f"{calls.cpu_s / calls.seconds:.0%}",
            f"{calls.late_share:.1%}",
            f"{failed_count / len(calls.code_C):.1%}",
            " ".join(f"{share:.0%}" for share in flood.degraded_shares),
            f"{flood.refusal_cpu_s * 1e6:,.0f}",
            *(text if met else f"[red]{text} not met[/red]" for text, met in found),
        )
    return table, is_met


@contextmanager
def apart(releases: Path, cores: tuple[int, int], **settings: str) -> Iterator[tuple[str, int]]:
    """A server on the first of these cores; meanwhile this process is on the second one."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores[:1])
    try:
        with server_process(releases, **settings) as started:
            os.sched_setaffinity(0, cores[1:])
            yield started
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def shooting_range(options: argparse.Namespace, releases: Path, **settings: str) -> Iterator[Range]:
    """A server with the limits and cores of the options, and load for it."""
    requests = [request.SerializeToString() for request in recommend_requests(options.items, USERS)]
    limits = {"queue_limit": str(options.queue_limit), "max_concurrent_calls": str(options.max_calls)}
    cores = options.server_core, options.generator_core
    with apart(releases, cores, **limits, interest_cache_mb="0", **settings) as (target, process_id):
        yield Range(RawLoad(target, requests, options.connections), process_id)


def main() -> int:
    """Measure, print the table; exit with 1 where a bound is not met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each flood")
    parser.add_argument("--times", type=float, nargs="+", default=[2.0, 5.0, 10.0], help="of the peak")
    parser.add_argument("--connections", type=int, default=1, help="that the calls are shared out over")
    parser.add_argument("--queue-limit", type=int, default=40, help="of the server")
    parser.add_argument("--max-calls", type=int, default=40, help="of the server, in progress at once")
    parser.add_argument("--releases", type=Path, help="a folder of releases; made up where it is not given")
    parser.add_argument("--degrade-after-ms", help="flood a server that gives cheaper answers after so long a wait")
    server_core, generator_core = core_pair()
    parser.add_argument("--server-core", type=int, default=server_core, help="that the server keeps to")
    parser.add_argument("--generator-core", type=int, default=generator_core, help="that the load keeps to")
    options = parser.parse_args()
    console.print(f"server on core {options.server_core}, generator on core {options.generator_core}")
    with TemporaryDirectory() as folder:
        releases = prepared(options.releases or Path(folder) / "releases", options.items).root
        with shooting_range(options, releases) as load:
            usual = load.usual()
        flooded = {} if options.degrade_after_ms is None else {"degrade_after_ms": options.degrade_after_ms}
        with shooting_range(options, releases, **flooded) as load:
            load.warm_up()
            floods = [load.flood(times, usual, options.seconds) for times in options.times]
    table, is_met = report_table(floods, usual)
    console.print(table)
    console.print(
        "generator: of a core; degraded: of the answers, before and since the flood; goodput: of the peak; "
        "answers p99: of that at 70%; MB, threads: before, most, after"
    )
    return int(not is_met)


if __name__ == "__main__":
    sys.exit(main())
