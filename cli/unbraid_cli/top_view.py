"""How ``unbraid top`` looks: a screen for a terminal, a line for a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from unbraid_cli.console import facts_table
from unbraid_cli.serving_rates import ServingRates
from unbraid_client import ServerStatus

__all__ = ["Frame", "line", "serving_facts", "view"]

BAR_WIDTH = 20
MEGABYTE = 1e6


@dataclass(frozen=True, slots=True)
class Frame:
    """One look at a server.

    Attributes:
        status: what it said; None where it did not answer.
        rates: since earlier looks; None with the first one.
        problem: why it did not answer, else empty.
    """

    status: ServerStatus | None
    rates: ServingRates | None
    problem: str


def view(frame: Frame, server: str) -> RenderableType:
    """The whole screen."""
    if frame.status is None:
        return Text(f"reconnecting to {server}: {frame.problem}", style="yellow")
    facts = {"server": _server(frame.status, server), **serving_facts(frame.status)}
    if frame.rates is None:
        return Group(facts_table(facts), Text("measuring", style="dim"))
    rates = frame.rates
    facts |= {
        "calls a second": _per_second(rates.calls_per_second) or "none",
        "latency": _latency(rates),
        "shed a second": _per_second(rates.shed_per_second) or "none",
        "batches": "none" if rates.batch_queries is None else f"{rates.batch_queries:.1f} questions each",
        "cache hits": "none" if rates.cache_hit_share is None else f"{rates.cache_hit_share:.0%} of the histories",
    }
    # Side by side, so that a terminal of 24 lines has room for all of it.
    times = Table.grid(padding=(0, 4))
    times.add_row(Text(f"steps of a call, mean of {rates.seconds:.0f} s"), Text("stages of a batch"), style="dim")
    times.add_row(_bars(rates.step_ms), _bars(rates.stage_ms))
    return Group(facts_table(facts), times)


def line(frame: Frame) -> str:
    """The same in short."""
    moment = f"{datetime.now(UTC):%H:%M:%S}"
    if frame.status is None:
        return f"{moment}  reconnecting: {frame.problem}"
    if frame.rates is None:
        return f"{moment}  release {frame.status.release.release_id}, measuring"
    rates, serving = frame.rates, frame.status.serving
    return "  ".join(
        (
            moment,
            f"calls/s {_per_second(rates.calls_per_second) or 'none'}",
            _latency(rates),
            f"waiting {serving.waiting_query_count}",
            f"shed/s {_per_second(rates.shed_per_second) or 'none'}",
        )
    )


def serving_facts(status: ServerStatus) -> dict[str, str]:
    """What holds at the moment of a look."""
    serving, recall = status.serving, status.live_recall
    facts = {
        "release": status.release.release_id,
        "now": f"{serving.call_in_flight_count} calls in progress, {serving.waiting_query_count} questions wait",
    }
    if recall.merged_recall is not None:
        facts["recall"] = f"{recall.merged_recall:.4f} of {recall.sample_count:,} questions"
    if serving.cache is not None:
        facts["cache"] = (
            f"{serving.cache.entry_count:,} histories, {serving.cache.size_bytes / MEGABYTE:.1f} of "
            f"{serving.cache.capacity_bytes / MEGABYTE:.0f} MB"
        )
    return facts


def _server(status: ServerStatus, server: str) -> str:
    up_s = (datetime.now(UTC) - status.start_time).total_seconds()
    process = f"process {status.serving.process_id}"
    if status.worker_count > 1:
        process += f", worker {status.worker_number} of {status.worker_count}"
    return f"{server}, {process}, up {_duration(up_s)}"


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
