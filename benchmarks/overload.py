"""Floods a server with several times as many calls as it can answer, and says what becomes of those that it accepts.

    python -m benchmarks.overload [--items 20000] [--seconds 30] [--times 2 5 10] [--queue-limit 32]
                                   [--max-calls 64]

The peak is the best goodput of closed loops with 8, 32 and 128 callers. Then an open loop (Poisson) at 70% of the peak
shows the latency of a server that is well used. A flood is 70% for a moment, a multiple of the peak, and 70% again. The
bounds: goodput of at least 90% of the peak; answers within 3 times the 99th percentile at 70%; refusals within 10 ms at
the 99th percentile; at most 100 MB more than before, and a thread for each call that is admitted beside 32 others;
normal again within 2 s.

The server has one core for itself, and the generator the others, so that they do not take each other's time; on one
core they share it. Latencies count from when a call was sent: where the generator cannot keep up, its delay is the
column ``late``, not the server's fault. What a refusal costs is the CPU of the server during a flood, less that of
its answers at the peak. How long answers wait is decided by --queue-limit, how much of the server refusals take by
--max-calls: more calls than that are refused by gRPC itself, without a thread. Exits with 1 where a bound is not met.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.memory import prepared
from benchmarks.process_watch import Sample, watched
from benchmarks.server_process import server_process
from rich.console import Console
from rich.table import Table

from unbraid_client import UnbraidClient
from unbraid_load import (
    CallKind,
    ClosedLoop,
    LoadPlan,
    LoadReport,
    OpenLoop,
    Question,
    Step,
    StepReport,
    draw_histories,
    prepare,
    read_item_ids,
    run_load,
)

CALLERS = (8, 32, 128)
WELL_USED = 0.7
CALM_S = 5.0
INTERVAL_S = 0.25
SUBJECTS, HISTORY, LONGEST = 3_000, 30, 100
LEAST_GOODPUT, MOST_SLOWDOWN, MOST_REFUSAL_MS, MOST_RECOVERY_S = 0.9, 3.0, 10.0, 2.0
# What a server may take for calls in progress, and no more however long a flood lasts.
MOST_GROWTH_MB = 100.0
# Beside a thread for each call that is admitted: those that gRPC and the libraries keep.
OTHER_THREADS = 32
OK, SHED = "OK", "RESOURCE_EXHAUSTED"

console = Console(width=130)


@dataclass(frozen=True, slots=True)
class Flood:
    """What a flood did.

    Attributes:
        times: of the peak.
        report: of its calls alone.
        recovery_s: after its end, until calls at 70% were all answered as fast as before.
        samples: of the server.
        cpu_s: that the server took for it.
    """

    times: float
    report: StepReport
    recovery_s: float
    samples: Sequence[Sample]
    cpu_s: float


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


class Range:
    """Load of one kind for one server."""

    def __init__(self, target: str, process_id: int, requests: Sequence[bytes], processes: int) -> None:
        self._target, self._process_id = target, process_id
        self._requests, self._processes = requests, processes

    def run(self, loop: OpenLoop | ClosedLoop, warm_up_s: float) -> LoadReport:
        """Put it under load."""
        return run_load(
            LoadPlan(
                self._target,
                CallKind.RECOMMEND,
                self._requests,
                loop,
                warm_up_s=warm_up_s,
                processes=self._processes,
                interval_s=INTERVAL_S,
            )
        )

    def usual(self, seconds: float) -> Usual:
        """Find the peak, and the latency well below it; prints both."""
        peak_rps = answer_cpu_s = 0.0
        for callers in CALLERS:
            before = Sample.of(self._process_id)
            total = self.run(ClosedLoop(callers, seconds), warm_up_s=0.0).total
            cpu_s = (Sample.of(self._process_id).cpu_s - before.cpu_s) / max(1, total.answered_count)
            console.print(
                f"{callers} callers: {total.goodput_rps:.0f} answers a second, {total.error_share:.1%} errors, "
                f"{cpu_s * 1e6:,.0f} us of CPU an answer"
            )
            if total.goodput_rps > peak_rps:
                peak_rps, answer_cpu_s = total.goodput_rps, cpu_s
        used = self.run(OpenLoop([Step(WELL_USED * peak_rps, seconds)]), warm_up_s=2.0).total
        ms = used.outcomes[OK].service_ms
        console.print(f"peak {peak_rps:.0f}; at {WELL_USED:.0%} p50 {ms.p50:.1f} ms, p99 {ms.p99:.1f} ms")
        return Usual(peak_rps, answer_cpu_s, ms.p99)

    def flood(self, times: float, usual: Usual, seconds: float) -> Flood:
        """Flood it, and see how it recovers."""
        calm = Step(WELL_USED * usual.peak_rps, CALM_S)
        loop = OpenLoop([calm, Step(times * usual.peak_rps, seconds), calm])
        with watched(self._process_id, INTERVAL_S) as samples:
            report = self.run(loop, warm_up_s=0.0)
        ended_s = CALM_S + seconds
        disturbed_s = [
            row.time_s + INTERVAL_S
            for row in report.timeline
            if row.time_s >= ended_s and (set(row.counts) != {OK} or (row.p99_ms or 0.0) > MOST_SLOWDOWN * usual.p99_ms)
        ]
        calm_answers = sum(step.answered_count for step in (report.steps[0], report.steps[2]))
        cpu_s = samples[-1].cpu_s - samples[0].cpu_s - calm_answers * usual.answer_cpu_s
        return Flood(times, report.steps[1], max(disturbed_s, default=ended_s) - ended_s, samples, cpu_s)


def verdicts(flood: Flood, usual: Usual, max_calls: int) -> list[tuple[str, bool]]:
    """Every figure that has a bound, and whether it is met."""
    report = flood.report
    goodput = report.goodput_rps / usual.peak_rps
    answers, refusals = report.outcomes.get(OK), report.outcomes.get(SHED)
    slowdown = answers.service_ms.p99 / usual.p99_ms if answers else float("inf")
    refusal_ms = refusals.service_ms.p99 if refusals else 0.0
    resident = [sample.resident_mb for sample in flood.samples]
    threads = [sample.threads for sample in flood.samples]
    return [
        (f"{goodput:.0%}", goodput >= LEAST_GOODPUT),
        (f"{slowdown:.1f}x", slowdown <= MOST_SLOWDOWN),
        (f"{refusal_ms:.1f} ms", refusal_ms <= MOST_REFUSAL_MS),
        (f"{resident[0]:.0f} {max(resident):.0f} {resident[-1]:.0f}", max(resident) - resident[0] <= MOST_GROWTH_MB),
        (f"{threads[0]} {max(threads)} {threads[-1]}", max(threads) <= max_calls + OTHER_THREADS),
        (f"{flood.recovery_s:.2f} s", flood.recovery_s <= MOST_RECOVERY_S),
    ]


def report_table(floods: Sequence[Flood], usual: Usual, max_calls: int) -> tuple[Table, bool]:
    """All floods, and whether every bound is met."""
    heads = ("times", "called", "late", "failed", "us a refusal")
    table = Table(*heads, "goodput", "answers p99", "refusals p99", "MB", "threads", "recovery")
    is_met = True
    for flood in floods:
        report = flood.report
        found = verdicts(flood, usual, max_calls)
        is_met &= all(met for _, met in found)
        refusal_cpu_s = (flood.cpu_s - report.answered_count * usual.answer_cpu_s) / max(
            1, report.call_count - report.answered_count
        )
        table.add_row(
            f"{flood.times:g}",
            f"{report.offered_rps:,.0f}/s",
            f"{report.late_share:.0%}",
            f"{report.error_share - report.shed_share:.1%}",
            f"{refusal_cpu_s * 1e6:,.0f}",
            *(text if met else f"[red]{text} not met[/red]" for text, met in found),
        )
    return table, is_met


@contextmanager
def apart(releases: Path, *arguments: str, **settings: str) -> Iterator[tuple[str, int]]:
    """A server with a core for itself; whatever this process starts afterwards has the others."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    try:
        with server_process(releases, *arguments, **settings) as started:
            os.sched_setaffinity(0, cores[1:] or cores)
            yield started
    finally:
        os.sched_setaffinity(0, cores)


def main() -> int:
    """Measure, print the table; exit with 1 where a bound is not met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each flood")
    parser.add_argument("--times", type=float, nargs="+", default=[2.0, 5.0, 10.0], help="of the peak")
    parser.add_argument("--queue-limit", type=int, default=32, help="of the server")
    parser.add_argument("--max-calls", type=int, default=64, help="of the server, in progress at once")
    parser.add_argument("--processes", type=int, default=1, help="of the generator")
    parser.add_argument("--releases", type=Path, help="a folder of releases; made up where it is not given")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        store = prepared(options.releases or Path(folder) / "releases", options.items)
        limits = ("--queue-limit", str(options.queue_limit))
        with apart(store.root, *limits, max_concurrent_calls=str(options.max_calls)) as (target, process_id):
            with UnbraidClient(target, timeout_s=60.0) as client:
                item_ids = read_item_ids(client, options.items)
            subjects = draw_histories(item_ids, SUBJECTS, HISTORY, LONGEST, time.time(), seed=0)
            requests = prepare(CallKind.RECOMMEND, Question(), subjects, 1)
            load = Range(target, process_id, requests, options.processes)
            usual = load.usual(min(10.0, options.seconds))
            floods = [load.flood(times, usual, options.seconds) for times in options.times]
    table, is_met = report_table(floods, usual, options.max_calls)
    console.print(table)
    console.print("goodput of the peak; answers p99 of that at 70%; MB and threads before, at most, and after")
    return int(not is_met)


if __name__ == "__main__":
    sys.exit(main())
