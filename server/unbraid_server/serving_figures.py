"""What this process has done since it started, in numbers that only grow; Prometheus and the status read them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

import grpc

from unbraid_server.backlog import Backlog
from unbraid_server.batch_record import BatchRecord, ShedReason, Turn
from unbraid_server.call_record import CallRecord, current_call
from unbraid_server.distribution import Distribution, Histogram
from unbraid_server.marks import Marks
from unbraid_server.part_times import PartTimes

__all__ = ["ServingFigures", "ServingSnapshot"]

# Seconds; from a call that is refused at once to one that nobody waits for any more.
CALL_BOUNDS_S = (
    *(0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.0075),
    *(0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0),
)
# Seconds; most stages take microseconds, and one that waits for a slow disk does not.
PART_BOUNDS_S = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
BATCH_BOUNDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)


@dataclass(frozen=True, slots=True)
class ServingSnapshot:
    """The figures at one moment.

    Attributes:
        calls: that ended, by method and name of the status.
        in_flight_count: calls that began and did not end.
        durations_s: of calls but streams, by method.
        steps_s: of calls, by step.
        stages_s: of batches, by stage of the pipeline; once and whole for each batch, however many share it.
        batch_sizes: questions of each batch.
        degraded_count: answers of reduced effort.
        shed: calls that were not answered, by reason.
    """

    calls: Mapping[tuple[str, str], int]
    in_flight_count: int
    durations_s: Mapping[str, Histogram]
    steps_s: Mapping[str, Histogram]
    stages_s: Mapping[str, Histogram]
    batch_sizes: Histogram
    degraded_count: int
    shed: Mapping[ShedReason, int]


class _EndedCall(NamedTuple):
    """What is counted of a call. It keeps nothing that belongs to a release."""

    method: str
    code: str
    duration_s: float | None
    steps: Marks
    ended_s: float


class ServingFigures:
    """Counts calls and batches: a ``BatchWatch``, and a witness of calls. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._begun_count = self._ended_count = 0
        self._refused: Counter[tuple[str, str]] = Counter()
        self._shed: Counter[ShedReason] = Counter(dict.fromkeys(ShedReason, 0))
        # Of what is counted many at a time, which no call that begins or ends is to wait for.
        self._counting = Lock()
        self._calls: Counter[tuple[str, str]] = Counter()
        self._durations_s: defaultdict[str, Distribution] = defaultdict(lambda: Distribution(CALL_BOUNDS_S))
        self._steps_s, self._stages_s = PartTimes(PART_BOUNDS_S), PartTimes(PART_BOUNDS_S)
        self._batch_sizes = Distribution(BATCH_BOUNDS)
        self._degraded_count = 0
        self._ended_calls: Backlog[_EndedCall] = Backlog(self._count_calls)
        self._answered_batches: Backlog[BatchRecord] = Backlog(self._count_batches)

    @property
    def in_flight_count(self) -> int:
        """Calls that began and did not end."""
        return self._begun_count - self._ended_count

    def turned_away(self, method: str, reason: ShedReason) -> None:
        """A call was refused before it began."""
        with self._lock:
            self._refused[method, grpc.StatusCode.RESOURCE_EXHAUSTED.name] += 1
            self._shed[reason] += 1

    def began(self) -> None:
        """A call begins."""
        with self._lock:
            self._begun_count += 1

    def ended(self, call: CallRecord) -> None:
        """A call is done."""
        with self._lock:
            self._ended_count += 1
        duration_s = None if call.is_stream else call.ended_s - call.began_s
        self._ended_calls.add(_EndedCall(call.method, call.code, duration_s, call.steps, call.ended_s))

    def answered(self, batch: BatchRecord) -> None:
        """See BatchWatch."""
        self._answered_batches.add(batch)

    def taken(self, turn: Turn) -> None:
        """See BatchWatch."""
        call = current_call()
        if call is not None:
            call.take(turn)

    def shed(self, reason: ShedReason) -> None:
        """See BatchWatch."""
        with self._lock:
            self._shed[reason] += 1

    def snapshot(self) -> ServingSnapshot:
        """The figures now."""
        self._ended_calls.settle()
        self._answered_batches.settle()
        with self._counting, self._lock:
            return ServingSnapshot(
                calls=self._calls + self._refused,
                in_flight_count=self.in_flight_count,
                durations_s={method: each.histogram() for method, each in self._durations_s.items()},
                steps_s=self._steps_s.histograms(),
                stages_s=self._stages_s.histograms(),
                batch_sizes=self._batch_sizes.histogram(),
                degraded_count=self._degraded_count,
                shed=dict(self._shed),
            )

    def _count_calls(self, calls: Sequence[_EndedCall]) -> None:
        with self._counting:
            for call in calls:
                self._calls[call.method, call.code] += 1
                if call.duration_s is not None:
                    self._durations_s[call.method].observe(call.duration_s)
            self._steps_s.count((call.steps, call.ended_s) for call in calls)

    def _count_batches(self, batches: Sequence[BatchRecord]) -> None:
        with self._counting:
            for batch in batches:
                self._batch_sizes.observe(batch.query_count)
                self._degraded_count += batch.degraded_count
            self._stages_s.count((batch.marks, batch.ended_s) for batch in batches)
