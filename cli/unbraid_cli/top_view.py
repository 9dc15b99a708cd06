"""How ``unbraid top`` looks: a screen for a terminal, a line for a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from unbraid_cli.console import facts_table, rows_table
from unbraid_cli.serving_rates import ServingRates
from unbraid_cli.status_view import answering_releases
from unbraid_client import ServerStatus
from unbraid_core.counted import counted

__all__ = ["Frame", "WorkerFrame", "line", "view"]

BAR_WIDTH = 20
MEGABYTE = 1e6


@dataclass(frozen=True, slots=True)
class WorkerFrame:
    """One look at a worker: what it said, and its rates since earlier looks, None with the first one."""

    status: ServerStatus
    rates: ServingRates | None


@dataclass(frozen=True, slots=True)
class Frame:
    """One look at a server.

    Attributes:
        workers: those that answered, by their numbers; empty where none did.
        rates: of all of them together since earlier looks; None with the first one.
        problem: why none answered, else empty.
    """

    workers: Sequence[WorkerFrame]
    rates: ServingRates | None
    problem: str

    @property
    def statuses(self) -> list[ServerStatus]:
        """What the workers said."""
        return [worker.status for worker in self.workers]


def view(frame: Frame, server: str) -> RenderableType:
    """The whole screen."""
    if not frame.workers:
        return Text(f"reconnecting to {server}: {frame.problem}", style="yellow")
    facts = {"server": _server(frame.statuses, server), **_present(frame.statuses)}
    workers: list[RenderableType] = []
    if frame.statuses[0].worker_count > 1:
        workers = [Text(), _workers(frame.workers), Text()]
    if frame.rates is None:
        return Group(facts_table(facts), *workers, Text("measuring", style="dim"))
    rates = frame.rates
    facts |= {
        "calls a second": _per_second(rates.calls_per_second) or "none",
        "latency": _latency(rates),
        "shed a second": _per_second(rates.shed_per_second) or "none",
        **({"degraded": f"{rates.degraded_per_second:,.1f} answers a second"} if rates.degraded_per_second else {}),
        "batches": "none" if rates.batch_queries is None else f"{rates.batch_queries:.1f} questions each",
        "cache hits": "none" if rates.cache_hit_share is None else f"{rates.cache_hit_share:.0%} of the histories",
    }
    # Side by side, so that a terminal of 24 lines has room for all of it.
    times = Table.grid(padding=(0, 4))
    times.add_row(Text(f"steps of a call, mean of {rates.seconds:.0f} s"), Text("stages of a batch"), style="dim")
    times.add_row(_bars(rates.step_ms), _bars(rates.stage_ms))
    return Group(facts_table(facts), *workers, times)


def line(frame: Frame) -> str:
    """The same in short."""
    moment = f"{datetime.now(UTC):%H:%M:%S}"
    if not frame.workers:
        return f"{moment}  reconnecting: {frame.problem}"
    if frame.rates is None:
        return f"{moment}  release {answering_releases(frame.statuses)}, measuring"
    rates, worker_count = frame.rates, frame.statuses[0].worker_count
    parts = [
        moment,
        f"calls/s {_per_second(rates.calls_per_second) or 'none'}",
        _latency(rates),
        f"waiting {sum(status.serving.waiting_query_count for status in frame.statuses)}",
        f"shed/s {_per_second(rates.shed_per_second) or 'none'}",
    ]
    if rates.degraded_per_second:
        parts.append(f"degraded/s {rates.degraded_per_second:,.1f}")
    if worker_count > 1:
        parts.append(f"workers {len(frame.workers)} of {worker_count}")
    return "  ".join(parts)


def _present(statuses: Sequence[ServerStatus]) -> dict[str, str]:
    """What holds at the moment of a look, for all workers together."""
    in_flight_count = sum(_others_in_flight(status) for status in statuses)
    waiting_count = sum(status.serving.waiting_query_count for status in statuses)
    waiting = counted(waiting_count, "question waits", "questions wait")
    facts = {
        "release": answering_releases(statuses),
        "now": f"{counted(in_flight_count, 'call')} in progress, {waiting}",
    }
    # Each worker samples for itself.
    sampled = [(status.live_recall.merged_recall, status.live_recall.sample_count) for status in statuses]
    sample_count = sum(count for _, count in sampled)
    if sample_count:
        recall = sum(mean * count for mean, count in sampled if mean is not None) / sample_count
        facts["recall"] = f"{recall:.4f} of {counted(sample_count, 'question')}"
    caches = [status.serving.cache for status in statuses if status.serving.cache is not None]
    if caches:
        facts["cache"] = (
            f"{counted(sum(cache.entry_count for cache in caches), 'history', 'histories')}, "
            f"{sum(cache.size_bytes for cache in caches) / MEGABYTE:.1f} of "
            f"{sum(cache.capacity_bytes for cache in caches) / MEGABYTE:.0f} MB"
        )
    return facts


def _server(statuses: Sequence[ServerStatus], server: str) -> str:
    first, *_ = statuses
    if first.worker_count > 1:
        return f"{server}, {len(statuses)} of {first.worker_count} workers"
    return f"{server}, process {first.serving.process_id}, up {_duration(_up_s(first))}"


def _workers(workers: Sequence[WorkerFrame]) -> Table:
    """A row for each worker."""
    head = ("worker", "process", "up", "calls/s", "p50", "p99", "in progress", "waiting", "shed/s")
    table = rows_table([head, *(_worker_row(worker.status, worker.rates) for worker in workers)])
    for column in table.columns:
        column.justify = "right"
    return table


def _worker_row(status: ServerStatus, rates: ServingRates | None) -> tuple[str, ...]:
    now = f"{_others_in_flight(status):,}", f"{status.serving.waiting_query_count:,}"
    who = str(status.worker_number), str(status.serving.process_id), _duration(_up_s(status))
    if rates is None:
        return (*who, "", "", "", *now, "")
    calls, shed = sum(rates.calls_per_second.values()), sum(rates.shed_per_second.values())
    return (*who, f"{calls:,.1f}", _short(rates.p50_ms), _short(rates.p99_ms), *now, f"{shed:,.1f}")


def _short(milliseconds: float | None) -> str:
    return "" if milliseconds is None else f"{milliseconds:.1f} ms"


def _others_in_flight(status: ServerStatus) -> int:
    """Calls in progress besides the one that asked for them."""
    return status.serving.call_in_flight_count - 1


def _up_s(status: ServerStatus) -> float:
    return (datetime.now(UTC) - status.start_time).total_seconds()


def _duration(seconds: float) -> str:
    days, rest = divmod(int(seconds), 86_400)
    hours, rest = divmod(rest, 3_600)
    clock = f"{hours:02}:{rest // 60:02}:{rest % 60:02}"
    return f"{days} d {clock}" if days else clock


def _per_second(rates: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {rate:,.1f}" for name, rate in rates.items() if rate > 0)


def _latency(rates: ServingRates) -> str:
    if rates.p50_ms is None:
        return "no answers"
    return f"p50 {rates.p50_ms:.1f} ms, p95 {rates.p95_ms:.1f} ms, p99 {rates.p99_ms:.1f} ms"


def _bars(duration_ms: Mapping[str, float]) -> Table:
    """A bar for each part, the whole width for all of them together."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column()
    total_ms = sum(duration_ms.values())
    for name, mean_ms in duration_ms.items():
        table.add_row(name, f"{mean_ms:.2f} ms", "█" * round(BAR_WIDTH * mean_ms / total_ms))
    return table
