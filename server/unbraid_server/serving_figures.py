"""What this process has done since it started, in numbers that only grow; Prometheus and the status read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock

import grpc

from unbraid_server.batch_record import BatchRecord, ShedReason, Turn
from unbraid_server.call_record import CallRecord, current_call
from unbraid_server.distribution import Distribution, Distributions, Histogram
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
        shed: calls that were not answered, by reason.
    """

    calls: Mapping[tuple[str, str], int]
    in_flight_count: int
    durations_s: Mapping[str, Histogram]
    steps_s: Mapping[str, Histogram]
    stages_s: Mapping[str, Histogram]
    batch_sizes: Histogram
    shed: Mapping[ShedReason, int]


class ServingFigures:
    """Counts calls and batches: a ``BatchWatch``, and a witness of calls. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._begun_count = self._ended_count = 0
        self._calls: Counter[tuple[str, str]] = Counter()
        self._shed: Counter[ShedReason] = Counter(dict.fromkeys(ShedReason, 0))
        self._durations_s = Distributions(CALL_BOUNDS_S)
        self._steps_s, self._stages_s = PartTimes(PART_BOUNDS_S), PartTimes(PART_BOUNDS_S)
        self._batch_sizes = Distribution(BATCH_BOUNDS)

    @property
    def in_flight_count(self) -> int:
        """Calls that began and did not end."""
        return self._begun_count - self._ended_count

    def turned_away(self, method: str, reason: ShedReason) -> None:
        """A call was refused before it began."""
        with self._lock:
            self._calls[method, grpc.StatusCode.RESOURCE_EXHAUSTED.name] += 1
            self._shed[reason] += 1

    def began(self) -> None:
        """A call begins."""
        with self._lock:
            self._begun_count += 1

    def ended(self, call: CallRecord) -> None:
        """A call is done."""
        with self._lock:
            self._ended_count += 1
            self._calls[call.method, call.code] += 1
        if not call.is_stream:
            self._durations_s.observe(call.method, call.duration_s)
        self._steps_s.add(call.steps, call.ended_s)

    def answered(self, batch: BatchRecord) -> None:
        """See BatchWatch."""
        self._batch_sizes.observe(batch.query_count)
        self._stages_s.add(batch.marks, batch.ended_s)

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
        with self._lock:
            calls, shed = dict(self._calls), dict(self._shed)
            in_flight_count = self.in_flight_count
        return ServingSnapshot(
            calls=calls,
            in_flight_count=in_flight_count,
            durations_s=self._durations_s.histograms(),
            steps_s=self._steps_s.histograms(),
            stages_s=self._stages_s.histograms(),
            batch_sizes=self._batch_sizes.histogram(),
            shed=shed,
        )
