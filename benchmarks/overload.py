"""Floods a server with several times as many calls as it can answer, and says what becomes of those that it accepts.

    python -m benchmarks.overload [--items 100000] [--seconds 30] [--times 2 5 10] [--connections 1]
                                   [--queue-limit 40] [--max-calls 40] [--releases DIR]

The peak is the best goodput of closed loops with 8, 16 and 32 callers. Then an open loop (Poisson) at 70% of the peak
shows the latency of a server that is well used. A flood is 70% for a moment, a multiple of the peak, and 70% again. The
bounds: goodput of at least 90% of the peak; answers within 3 times the 99th percentile at 70%; refusals within 10 ms at
the 99th percentile; at most 100 MB and 16 threads more than before; normal again within 2 s.

The questions are those of ``benchmarks.serving``, and there is no cache of interests, so that all answers cost alike.
The server has one core for itself, and the generator the others, so that they do not take each other's time; on one
core they share it. The generator writes the frames of HTTP/2 itself (``benchmarks.raw_connection``): a gRPC client in
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.memory import prepared
from benchmarks.process_watch import Sample, watched
from benchmarks.raw_load import OK, REFUSED, Calls, RawLoad
from benchmarks.server_process import server_process
from benchmarks.serving_requests import recommend_requests
from rich.console import Console
from rich.table import Table

from unbraid_load import Step

CALLERS = (8, 16, 32)
WELL_USED = 0.7
WARM_UP_S, CALM_S = 3.0, 5.0
INTERVAL_S = 0.25
USERS = 3_000
LEAST_GOODPUT, MOST_SLOWDOWN, MOST_REFUSAL_MS, MOST_RECOVERY_S = 0.9, 3.0, 10.0, 2.0
# What a server may take for calls in progress, and no more however long a flood lasts.
MOST_GROWTH_MB = 100.0
# Threads for calls are there from the beginning; gRPC starts some of its own when much comes.
MOST_NEW_THREADS = 16

console = Console(width=130)


@dataclass(frozen=True, slots=True)
class Flood:
    """What a flood did.

    Attributes:
        times: of the peak.
        calls: of it alone.
        recovery_s: after its end, until calls at 70% were all answered as fast as before.
        samples: of the server.
        refusal_cpu_s: of the server, for each call that was not answered.
    """

    times: float
    calls: Calls
    recovery_s: float
    samples: Sequence[Sample]
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

    def usual(self, seconds: float) -> Usual:
        """Find the peak, and the latency well below it; prints both."""
        self.load.closed_loop(max(CALLERS), WARM_UP_S)
        peak_rps = answer_cpu_s = 0.0
        for callers in CALLERS:
            before = Sample.of(self.process_id)
            calls = self.load.closed_loop(callers, seconds)
            cpu_s = (Sample.of(self.process_id).cpu_s - before.cpu_s) / max(1, calls.count(OK))
            console.print(
                f"{callers} callers: {calls.goodput_rps:.0f} answers/s, {cpu_s * 1e6:,.0f} us of CPU an answer"
            )
            if calls.goodput_rps > peak_rps:
                peak_rps, answer_cpu_s = calls.goodput_rps, cpu_s
        used = self.load.open_loop([Step(WELL_USED * peak_rps, seconds)])
        p50_ms, p99_ms = used.percentile_ms(50, OK), used.percentile_ms(99, OK)
        console.print(f"peak {peak_rps:.0f}; at {WELL_USED:.0%} p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms")
        return Usual(peak_rps, answer_cpu_s, p99_ms)

    def flood(self, times: float, usual: Usual, seconds: float) -> Flood:
        """Flood it, and see how it recovers."""
        calm = Step(WELL_USED * usual.peak_rps, CALM_S)
        with watched(self.process_id, INTERVAL_S) as samples:
            calls = self.load.open_loop([calm, Step(times * usual.peak_rps, seconds), calm])
        flood = calls.between(CALM_S, CALM_S + seconds)
        after = calls.between(CALM_S + seconds, CALM_S + seconds + CALM_S)
        cpu_s = samples[-1].cpu_s - samples[0].cpu_s - calls.count(OK) * usual.answer_cpu_s
        return Flood(
            times,
            flood,
            _disturbed_s(after, CALM_S + seconds, MOST_SLOWDOWN * usual.p99_ms),
            samples,
            cpu_s / max(1, len(calls.code_C) - calls.count(OK)),
        )


def _disturbed_s(calls: Calls, begin_s: float, most_p99_ms: float) -> float:
    """Seconds from the beginning to the end of the last interval in which not all was answered, and fast."""
    disturbed_s = 0.0
    for number in range(round(calls.seconds / INTERVAL_S)):
        part = calls.between(begin_s + number * INTERVAL_S, begin_s + (number + 1) * INTERVAL_S)
        if part.count(OK) < len(part.code_C) or part.percentile_ms(99, OK) > most_p99_ms:
            disturbed_s = (number + 1) * INTERVAL_S
    return disturbed_s


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
    heads = ("times", "called", "generator", "late", "failed", "us a refusal")
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
            f"{flood.refusal_cpu_s * 1e6:,.0f}",
            *(text if met else f"[red]{text} not met[/red]" for text, met in found),
        )
    return table, is_met


@contextmanager
def apart(releases: Path, **settings: str) -> Iterator[tuple[str, int]]:
    """A server with a core for itself; whatever this process starts afterwards has the others."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    try:
        with server_process(releases, **settings) as started:
            os.sched_setaffinity(0, cores[1:] or cores)
            yield started
    finally:
        os.sched_setaffinity(0, cores)


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
    options = parser.parse_args()
    requests = [request.SerializeToString() for request in recommend_requests(options.items, USERS)]
    limits = {"queue_limit": str(options.queue_limit), "max_concurrent_calls": str(options.max_calls)}
    with TemporaryDirectory() as folder:
        store = prepared(options.releases or Path(folder) / "releases", options.items)
        with apart(store.root, **limits, interest_cache_mb="0") as (target, process_id):
            load = Range(RawLoad(target, requests, options.connections), process_id)
            usual = load.usual(min(10.0, options.seconds))
            floods = [load.flood(times, usual, options.seconds) for times in options.times]
    table, is_met = report_table(floods, usual)
    console.print(table)
    console.print(
        "generator: of a core; goodput: of the peak; answers p99: of that at 70%; MB, threads: before, most, after"
    )
    return int(not is_met)


if __name__ == "__main__":
    sys.exit(main())
