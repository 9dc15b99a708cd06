"""What became of calls, as counts and HDR histograms of latencies."""

from __future__ import annotations

from dataclasses import dataclass, field

from hdrh.histogram import HdrHistogram

__all__ = ["OK", "SHED", "PackedTally", "Tally"]

OK, SHED = "OK", "RESOURCE_EXHAUSTED"
LONGEST_S = 3_600.0
SIGNIFICANT_DIGITS = 3
LATE_S = 0.01

# Histograms as bytes by status code, and the rest of a tally; it travels between processes.
PackedTally = tuple[dict[str, tuple[bytes, bytes]], int, int, int, list[str]]


def _histogram() -> HdrHistogram:
    return HdrHistogram(1, round(LONGEST_S * 1e6), SIGNIFICANT_DIGITS)


@dataclass(slots=True)
class Latencies:
    """Microseconds of the calls with one status code.

    Attributes:
        from_due: counted from the moment at which a call was due, so that waiting for the generator counts too.
        from_sent: counted from the moment at which it was sent.
    """

    from_due: HdrHistogram = field(default_factory=_histogram)
    from_sent: HdrHistogram = field(default_factory=_histogram)


@dataclass(slots=True)
class Tally:
    """Calls that have ended.

    Attributes:
        by_code: latencies by the name of the gRPC status code.
        late_count: calls that were sent more than 10 ms after they were due.
        unsent_count: calls that were never sent, because the generator was so late that their deadline had passed.
        checked_count: answers that were read and checked.
        problems: what was wrong with those, a line for each.
    """

    by_code: dict[str, Latencies] = field(default_factory=dict)
    late_count: int = 0
    unsent_count: int = 0
    checked_count: int = 0
    problems: list[str] = field(default_factory=list)

    def record(self, code: str, due_s: float, sent_s: float, end_s: float) -> None:
        """Count a call."""
        latencies = self.of(code)
        latencies.from_due.record_value(max(1, round((end_s - due_s) * 1e6)))
        latencies.from_sent.record_value(max(1, round((end_s - sent_s) * 1e6)))
        self.late_count += sent_s - due_s > LATE_S

    def check(self, problem: str | None) -> None:
        """Count an answer that was read, and what was wrong with it."""
        self.checked_count += 1
        if problem is not None:
            self.problems.append(problem)

    def of(self, code: str) -> Latencies:
        """The latencies of a status code, none where nothing ended in it so far."""
        return self.by_code.setdefault(code, Latencies())

    def add(self, other: Tally) -> None:
        """Count what another tally counted, too."""
        for code, latencies in other.by_code.items():
            mine = self.of(code)
            mine.from_due.add(latencies.from_due)
            mine.from_sent.add(latencies.from_sent)
        self.late_count += other.late_count
        self.unsent_count += other.unsent_count
        self.checked_count += other.checked_count
        self.problems += other.problems

    @property
    def counts(self) -> dict[str, int]:
        """Calls by status code, most frequent first."""
        counts = {code: latencies.from_due.get_total_count() for code, latencies in self.by_code.items()}
        return dict(sorted(counts.items(), key=lambda each: -each[1]))

    def packed(self) -> PackedTally:
        """A form that can be sent to another process."""
        histograms = {
            code: (latencies.from_due.encode(), latencies.from_sent.encode())
            for code, latencies in self.by_code.items()
        }
        return histograms, self.late_count, self.unsent_count, self.checked_count, self.problems

    @classmethod
    def unpacked(cls, packed: PackedTally) -> Tally:
        """The tally that was packed."""
        histograms, late_count, unsent_count, checked_count, problems = packed
        by_code = {
            code: Latencies(HdrHistogram.decode(from_due), HdrHistogram.decode(from_sent))
            for code, (from_due, from_sent) in histograms.items()
        }
        return cls(by_code, late_count, unsent_count, checked_count, problems)
