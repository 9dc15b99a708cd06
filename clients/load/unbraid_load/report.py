"""What a load test found, and how it is written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from hdrh.histogram import HdrHistogram

from unbraid_load.tally import OK, SHED, Tally

__all__ = ["LoadReport", "Outcome", "Percentiles", "StepReport", "TimelineRow"]

# Where more of the calls are late, or a process of the generator is busier, it measured itself.
MOST_LATE_SHARE = 0.01
MOST_CPU_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of latencies, in milliseconds."""

    p50: float
    p90: float
    p99: float
    p999: float
    longest: float

    @classmethod
    def of(cls, histogram: HdrHistogram) -> Self:
        """Those of a histogram of microseconds, to three digits."""
        p50, p90, p99, p999 = (histogram.get_value_at_percentile(each) / 1e3 for each in (50, 90, 99, 99.9))
        return cls(p50, p90, p99, p999, histogram.get_max_value() / 1e3)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The calls that ended in one status code.

    Attributes:
        count: how many.
        latency_ms: from the moment at which a call was due.
        service_ms: from the moment at which it was sent.
    """

    count: int
    latency_ms: Percentiles
    service_ms: Percentiles


@dataclass(frozen=True, slots=True)
class StepReport:
    """The calls that were due in one step, or in all of them.

    Attributes:
        rate: calls a second that were asked for; None in a closed loop, and for several steps.
        seconds: how long it took.
        outcomes: by the name of the gRPC status code, most frequent first.
        late_share: share of the calls that were sent more than 10 ms after they were due, or never.
        unsent_count: calls that were never sent, because the generator was later than their deadline; they are in no
            other count.
    """

    rate: float | None
    seconds: float
    outcomes: Mapping[str, Outcome]
    late_share: float
    unsent_count: int = 0

    @classmethod
    def of(cls, tally: Tally, rate: float | None, seconds: float) -> Self:
        """The report of a tally."""
        outcomes = {
            code: Outcome(
                count, Percentiles.of(tally.by_code[code].from_due), Percentiles.of(tally.by_code[code].from_sent)
            )
            for code, count in tally.counts.items()
        }
        due_count = sum(tally.counts.values()) + tally.unsent_count
        late_share = (tally.late_count + tally.unsent_count) / max(1, due_count)
        return cls(rate, seconds, outcomes, late_share, tally.unsent_count)

    @property
    def call_count(self) -> int:
        """All calls."""
        return sum(outcome.count for outcome in self.outcomes.values())

    @property
    def answered_count(self) -> int:
        """Calls that ended in OK."""
        return self.outcomes[OK].count if OK in self.outcomes else 0

    @property
    def offered_rps(self) -> float:
        """Calls a second."""
        return self.call_count / self.seconds if self.seconds else 0.0

    @property
    def goodput_rps(self) -> float:
        """Calls a second that were answered."""
        return self.answered_count / self.seconds if self.seconds else 0.0

    @property
    def error_share(self) -> float:
        """Share of the calls that were not answered, for whatever reason."""
        return 1.0 - self.answered_count / self.call_count if self.call_count else 0.0

    @property
    def shed_share(self) -> float:
        """Share of the calls that were refused with RESOURCE_EXHAUSTED."""
        return self.outcomes[SHED].count / self.call_count if SHED in self.outcomes else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        names = ("call_count", "offered_rps", "goodput_rps", "error_share", "shed_share")
        return asdict(self) | {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """What ended within one interval.

    Attributes:
        time_s: when the interval began, in seconds from the end of the warm-up.
        counts: calls by status code.
        p50_ms, p99_ms: latencies of answers; None where there were none.
        in_flight: calls in progress when it ended.
        cpu_share: of a core, that the generator took.
    """

    time_s: float
    counts: Mapping[str, int]
    p50_ms: float | None
    p99_ms: float | None
    in_flight: int
    cpu_share: float

    @classmethod
    def of(cls, time_s: float, tally: Tally, in_flight: int, cpu_share: float) -> Self:
        """The row of a tally."""
        if OK not in tally.by_code:
            return cls(time_s, tally.counts, None, None, in_flight, cpu_share)
        answered = Percentiles.of(tally.by_code[OK].from_due)
        return cls(time_s, tally.counts, answered.p50, answered.p99, in_flight, cpu_share)


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load test found.

    Attributes:
        total: all steps together.
        steps: each by itself; one in a closed loop.
        timeline: from the end of the warm-up on.
        processes: of the generator.
        cpu_s: CPU seconds that they took.
        checked_count: answers that were read and checked.
        problems: what was wrong with those.
        is_stopped: whether it was ended early.
    """

    total: StepReport
    steps: Sequence[StepReport]
    timeline: Sequence[TimelineRow]
    processes: int
    cpu_s: float
    checked_count: int
    problems: Sequence[str] = field(default_factory=list)
    is_stopped: bool = False

    @property
    def cpu_us_per_call(self) -> float:
        """CPU microseconds of the generator for a call."""
        return self.cpu_s / self.total.call_count * 1e6 if self.total.call_count else 0.0

    @property
    def cpu_share(self) -> float:
        """How busy a process of the generator was, 1 being a whole core."""
        return self.cpu_s / self.total.seconds / self.processes if self.total.seconds else 0.0

    @property
    def is_generator_limited(self) -> bool:
        """Whether the generator could not keep up, so that its own slowness is in the latencies."""
        return self.total.late_share > MOST_LATE_SHARE or self.cpu_share > MOST_CPU_SHARE

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "total": self.total.to_dict(),
            "steps": [step.to_dict() for step in self.steps],
            "generator": {
                "processes": self.processes,
                "cpu_us_per_call": self.cpu_us_per_call,
                "cpu_share": self.cpu_share,
                "is_limit": self.is_generator_limited,
            },
            "checked_count": self.checked_count,
            "problems": list(self.problems),
            "is_stopped": self.is_stopped,
            "timeline": [asdict(row) for row in self.timeline],
        }
