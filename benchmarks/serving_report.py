"""What the rounds of ``serving`` say: a table of all rows, and how some of them compare."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

__all__ = ["COMPUTE", "Measurement", "Round", "print_report", "save"]

COMPUTE = "pipeline alone, 32 at once"
WIDTH = 160

# What one measurement says: calls (questions answered), wall_s, cpu_s; of servers load_cpu_s, p50_s and p99_s too.
Measurement = Mapping[str, float]
# One of each row.
Round = Mapping[str, Measurement]
Quantity = Callable[[Measurement], float]


def rate_rps(of: Measurement) -> float:
    """Requests a second."""
    return of["calls"] / of["wall_s"]


def cost_us(of: Measurement) -> float:
    """CPU time of a request."""
    return 1e6 * of["cpu_s"] / of["calls"]


def p50_ms(of: Measurement) -> float:
    """Median latency."""
    return 1e3 * of["p50_s"]


class Comparison(NamedTuple):
    """A quantity of one row over that of another, and what is aimed at."""

    name: str
    quantity: Quantity
    row: str
    other: str
    aim: str


def comparisons() -> Iterator[Comparison]:
    """All that are printed."""
    lone, many = "unbraid, 1 callers", "unbraid, 32 callers"
    yield Comparison("p50 of a lone caller", p50_ms, lone, "unbraid without batcher, 1 callers", "at most 1.1")
    for peer in ("mosec", "PyTriton over gRPC", "PyTriton over HTTP"):
        yield Comparison("p50 of a lone caller", p50_ms, lone, f"{peer}, 1 callers", "at most 0.5")
    for peer in ("PyTriton over gRPC", "PyTriton over HTTP"):
        yield Comparison("requests/s of 32 callers", rate_rps, many, f"{peer}, 32 callers", "at least 2")
    yield Comparison("CPU a request of 32 callers", cost_us, many, "mosec, 32 callers", "at most 1.1")
    yield Comparison("requests/s of 32 callers", rate_rps, "unbraid with its cache, 32 callers", many, "at least 1.3")


def print_report(rounds: Sequence[Round]) -> None:
    """Print the tables, in Markdown."""
    console = Console(width=WIDTH)
    console.print(
        f"{datetime.now(UTC):%Y-%m-%d}, {_processor()}, {len(os.sched_getaffinity(0))} cores, Python "
        f"{platform.python_version()}. Medians of {len(rounds)} rounds (least to most)."
    )
    console.print(rows(rounds))
    compared = ratios(rounds)
    if compared.row_count:
        console.print(compared)


def rows(rounds: Sequence[Round]) -> Table:
    """What each row costs; its share of the pipeline is formed within a round."""
    table = Table("", "requests/s", "CPU us a request", "pipeline / CPU", "p50 ms", "p99 ms", "load us", box=MARKDOWN)
    for name, first in rounds[0].items():
        own = [each[name] for each in rounds]
        table.add_row(
            name,
            spread(map(rate_rps, own), ",.0f"),
            spread(map(cost_us, own), ",.0f"),
            spread((cost_us(each[COMPUTE]) / cost_us(each[name]) for each in rounds), ".2f"),
            spread(map(p50_ms, own), ".1f") if "p50_s" in first else "",
            f"{1e3 * median(each['p99_s'] for each in own):.1f}" if "p99_s" in first else "",
            f"{1e6 * median(each['load_cpu_s'] / each['calls'] for each in own):.0f}" if "load_cpu_s" in first else "",
        )
    return table


def ratios(rounds: Sequence[Round]) -> Table:
    """Comparisons of rows that were measured, each formed within a round."""
    table = Table("", "of", "over", "ratio", "aim", box=MARKDOWN)
    for name, quantity, row, other, aim in comparisons():
        if row in rounds[0] and other in rounds[0]:
            of_rounds = (quantity(each[row]) / quantity(each[other]) for each in rounds)
            table.add_row(name, row, other, spread(of_rounds, ".2f"), aim)
    return table


def spread(values: Iterator[float], form: str) -> str:
    """The median, the least and the most."""
    ordered = sorted(values)
    return f"{median(ordered):{form}} ({ordered[0]:{form}} to {ordered[-1]:{form}})"


def save(rounds: Sequence[Round], file: Path) -> None:
    """Write all measurements."""
    file.write_text(json.dumps(rounds, indent=1))


def _processor() -> str:
    """What the kernel calls it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
