"""A load test on the terminal: live while it runs, and as a table when it has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from unbraid_cli.console import error_console, facts_table, rows_table
from unbraid_core.counted import counted

if TYPE_CHECKING:
    from unbraid_load import LoadPlan, LoadReport, Outcome, Progress, StepReport

__all__ = ["live_view", "report_table"]

OK = "OK"


@contextmanager
def live_view(plan: LoadPlan) -> Iterator[Callable[[Progress], None]]:
    """What is to be told of progress, shown on stderr where that is a terminal."""
    with Live(console=error_console, auto_refresh=False, transient=True) as live:

        def on_progress(progress: Progress) -> None:
            live.update(_progress_view(plan, progress), refresh=error_console.is_terminal)

        yield on_progress


def _progress_view(plan: LoadPlan, progress: Progress) -> RenderableType:
    row = progress.newest
    elapsed = "warming up" if progress.elapsed_s < 0 else f"{progress.elapsed_s:.1f} of {plan.loop.seconds:.0f} s"
    answered = row.counts.get(OK, 0) / plan.interval_s
    others = {code: count for code, count in progress.total.counts.items() if code != OK}
    facts = {
        "time": elapsed,
        "calls a second": f"{sum(row.counts.values()) / plan.interval_s:,.0f}, answered {answered:,.0f}",
        "latency": "no answers" if row.p50_ms is None else f"p50 {row.p50_ms:.1f} ms, p99 {row.p99_ms:.1f} ms",
        "in flight": f"{row.in_flight:,}",
        "CPU of the generator": f"{row.cpu_share:.0%} of a core",
        "refused or failed": ", ".join(f"{code} {count:,}" for code, count in others.items()) or "none",
    }
    return facts_table(facts)


def report_table(report: LoadReport) -> RenderableType:
    """The report for a terminal."""
    parts: list[RenderableType] = []
    if len(report.steps) > 1:
        parts += [_steps_table(report), Text()]
    parts += [_outcomes_table(report.total), Text(), facts_table(_facts(report))]
    if report.is_generator_limited:
        parts.append(
            Text(
                "the generator could not keep up, so its own slowness is in the latencies: use more "
                "--processes, another machine, or a lower rate",
                style="yellow",
            )
        )
    return Group(*parts)


def _steps_table(report: LoadReport) -> Table:
    rows = [("asked for", "called", "answered", "shed", "failed", "p50", "p99", "late")]
    for step in report.steps:
        answered = step.outcomes.get(OK)
        rows.append(
            (
                f"{step.rate:,.0f}/s",
                f"{step.offered_rps:,.0f}/s",
                f"{step.goodput_rps:,.0f}/s",
                f"{step.shed_share:.1%}",
                f"{step.error_share - step.shed_share:.1%}",
                f"{answered.latency_ms.p50:.1f} ms" if answered else "",
                f"{answered.latency_ms.p99:.1f} ms" if answered else "",
                f"{step.late_share:.1%}",
            )
        )
    return rows_table(rows)


def _outcomes_table(step: StepReport) -> Table:
    rows: list[Sequence[str]] = [("ended in", "calls", "p50", "p90", "p99", "p99.9", "max")]
    rows += [_outcome_row(code, outcome) for code, outcome in step.outcomes.items()]
    return rows_table(rows)


def _outcome_row(code: str, outcome: Outcome) -> tuple[str, ...]:
    ms = outcome.latency_ms
    times = (f"{each:.1f} ms" for each in (ms.p50, ms.p90, ms.p99, ms.p999, ms.longest))
    return (code, f"{outcome.count:,}", *times)


def _facts(report: LoadReport) -> dict[str, str]:
    total = report.total
    facts = {
        "calls": f"{total.call_count:,} in {total.seconds:.1f} s, {total.offered_rps:,.1f} a second"
        + (", ended early" if report.is_stopped else ""),
        "answered": f"{total.goodput_rps:,.1f} a second, {1 - total.error_share:.2%}" if total.call_count else "none",
        "never sent": f"{total.unsent_count:,}, the generator was too late" if total.unsent_count else "",
        "shed": f"{total.shed_share:.2%}",
        "checked": f"{counted(report.checked_count, 'answer')}, {len(report.problems):,} of them wrong",
        "generator": f"{report.cpu_us_per_call:,.0f} us of CPU a call, {report.cpu_share:.0%} of a core in each of its "
        f"processes, {report.processes}; {total.late_share:.2%} of the calls were sent late",
        "wrong": report.problems[0] if report.problems else "",
    }
    return {name: text for name, text in facts.items() if text}
