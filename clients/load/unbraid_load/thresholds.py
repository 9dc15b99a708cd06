"""Bounds that a load test has to keep, as they are written on a command line."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from unbraid_load.report import LoadReport
from unbraid_load.tally import OK

__all__ = ["Threshold", "parse_threshold"]

WRITTEN = re.compile(r"\s*(?P<name>[a-z0-9.]+)\s*(?P<sign><=|>=|<|>)\s*(?P<number>[0-9.]+)\s*(?P<unit>us|ms|s|%|)\s*")
SIGNS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
# The unit that a report has, and how many of it each unit on a command line is.
MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
SHARES = {"%": 0.01}
PLAIN = {"": 1.0}
HOW = "write for example 'p99>50ms', 'errors>0.1%', 'shed>5%' or 'rps<500'"


@dataclass(frozen=True, slots=True)
class Threshold:
    """A test fails where this holds.

    Attributes:
        text: as the user wrote it.
        measure: what is compared.
        holds: compares it.
    """

    text: str
    measure: Callable[[LoadReport], float]
    holds: Callable[[float], bool]

    def is_crossed(self, report: LoadReport) -> bool:
        """Whether a report fails."""
        return self.holds(self.measure(report))


def _latency(name: str) -> Callable[[LoadReport], float]:
    def measure(report: LoadReport) -> float:
        # Without an answer, every call takes for ever.
        answered = report.total.outcomes.get(OK)
        return getattr(answered.latency_ms, name) if answered else math.inf

    return measure


MEASURES: dict[str, tuple[Callable[[LoadReport], float], dict[str, float]]] = {
    "p50": (_latency("p50"), MILLISECONDS),
    "p90": (_latency("p90"), MILLISECONDS),
    "p99": (_latency("p99"), MILLISECONDS),
    "p99.9": (_latency("p999"), MILLISECONDS),
    "max": (_latency("longest"), MILLISECONDS),
    "errors": (lambda report: report.total.error_share, SHARES),
    "shed": (lambda report: report.total.shed_share, SHARES),
    "late": (lambda report: report.total.late_share, SHARES),
    "rps": (lambda report: report.total.goodput_rps, PLAIN),
}


def parse_threshold(text: str) -> Threshold:
    """The bound that a text stands for: ``p99>50ms`` fails a test whose 99th percentile is above 50 ms.

    Raises:
        ValueError: it stands for none.
    """
    written = WRITTEN.fullmatch(text)
    if written is None:
        raise ValueError(f"{text!r} is no bound; {HOW}")
    if written["name"] not in MEASURES:
        raise ValueError(f"{text!r}: {written['name']} is none of {', '.join(MEASURES)}")
    measure, units = MEASURES[written["name"]]
    if written["unit"] not in units:
        expected = " or ".join(units) or "none"
        raise ValueError(f"{text!r}: the unit of {written['name']} is {expected}; {HOW}")
    try:
        bound = float(written["number"]) * units[written["unit"]]
    except ValueError:
        raise ValueError(f"{text!r}: {written['number']} is no number; {HOW}") from None
    compare = SIGNS[written["sign"]]
    return Threshold(text, measure, lambda value: compare(value, bound))
