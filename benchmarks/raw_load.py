"""Open and closed loops over raw connections, and what became of their calls."""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from random import Random
from typing import Self

import grpc
import numpy as np
from benchmarks.raw_connection import Ended, RawConnection
from numpy.typing import NDArray

from unbraid_load import Step
from unbraid_load.arrivals import poisson_times

__all__ = ["Calls", "RawLoad"]

METHOD = "/unbraid.v1.RecommendationService/Recommend"
TIMEOUT_S = 1.0
LATE_S = 0.01
# How often calls whose deadline has passed are looked for.
LOOK_S = 0.05
OK, REFUSED = grpc.StatusCode.OK.value[0], grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls that have ended; all times are seconds since the load began.

    Attributes:
        code_C: of gRPC.
        due_s_C: when each was due; in a closed loop, made.
        latency_s_C: from when it was made until it ended.
        late_s_C: from when it was due until it was made.
        seconds: how long calls were due.
        cpu_s: that the generator took.
    """

    code_C: NDArray[np.int64]
    due_s_C: NDArray[np.float64]
    latency_s_C: NDArray[np.float64]
    late_s_C: NDArray[np.float64]
    seconds: float
    cpu_s: float

    @classmethod
    def of(cls, ended: Sequence[Ended], began_s: float, seconds: float, cpu_s: float) -> Self:
        """Those of a load."""
        code_C, due_s_C, made_s_C, ended_s_C = np.array(ended, dtype=np.float64).reshape(-1, 4).T
        return cls(code_C.astype(np.int64), due_s_C - began_s, ended_s_C - made_s_C, made_s_C - due_s_C, seconds, cpu_s)

    def between(self, begin_s: float, end_s: float) -> Calls:
        """The calls that were due in a part of the time."""
        chosen_C = (self.due_s_C >= begin_s) & (self.due_s_C < end_s)
        return Calls(
            self.code_C[chosen_C],
            self.due_s_C[chosen_C],
            self.latency_s_C[chosen_C],
            self.late_s_C[chosen_C],
            seconds=end_s - begin_s,
            cpu_s=self.cpu_s * (end_s - begin_s) / self.seconds,
        )

    def count(self, code: int) -> int:
        """How many ended in a code."""
        return int((self.code_C == code).sum())

    def percentile_ms(self, percent: float, code: int) -> float:
        """A percentile of the latencies of a code; 0 where there is none."""
        latency_s_C = self.latency_s_C[self.code_C == code]
        return float(np.percentile(latency_s_C, percent)) * 1e3 if len(latency_s_C) else 0.0

    @property
    def goodput_rps(self) -> float:
        """Answers a second."""
        return self.count(OK) / self.seconds

    @property
    def offered_rps(self) -> float:
        """Calls a second."""
        return len(self.code_C) / self.seconds

    @property
    def late_share(self) -> float:
        """Share of the calls that were made more than 10 ms after they were due."""
        return float((self.late_s_C > LATE_S).mean()) if len(self.late_s_C) else 0.0


@dataclass(slots=True)
class RawLoad:
    """Asks for recommendations from this thread.

    Args:
        target: ``host:port`` of a server without TLS.
        requests: messages, asked in turn.
        connection_count: over which calls are shared out in turn.
    """

    target: str
    requests: Sequence[bytes]
    connection_count: int
    _ended: list[Ended] = field(default_factory=list)
    _connections: list[RawConnection] = field(default_factory=list)

    def open_loop(self, steps: Sequence[Step]) -> Calls:
        """Make calls when they are due, a Poisson process, and wait until all have ended."""
        self._connect()
        turns = zip(cycle(self._connections), cycle(self.requests), strict=False)
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        for after_s, _ in poisson_times(steps, 1.0, Random(0)):  # noqa: S311 - no secret is drawn
            while (wait_s := began_s + after_s - time.perf_counter()) > 0:
                self._exchange(wait_s)
            connection, request = next(turns)
            connection.call(request, began_s + after_s)
            if -wait_s > LATE_S:
                # Behind schedule, what has arrived still has its turn.
                self._exchange(0.0)
        while any(connection.in_progress for connection in self._connections):
            self._exchange(LOOK_S)
        return self._done(began_s, sum(step.seconds for step in steps), began_cpu_s)

    def closed_loop(self, callers: int, seconds: float) -> Calls:
        """Have so many callers ask again as soon as they are answered."""
        self._connect()
        turns = zip(cycle(self._connections), cycle(self.requests), strict=False)
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        while time.perf_counter() - began_s < seconds:
            for _ in range(callers - sum(connection.in_progress for connection in self._connections)):
                connection, request = next(turns)
                connection.call(request, time.perf_counter())
            self._exchange(LOOK_S)
        return self._done(began_s, seconds, began_cpu_s)

    def _connect(self) -> None:
        self._ended = []
        self._connections = [RawConnection(self.target, METHOD, TIMEOUT_S) for _ in range(self.connection_count)]

    def _exchange(self, longest_s: float) -> None:
        """Write what is to be written, and read what comes within a time."""
        for connection in self._connections:
            connection.flush()
        unsent = [connection for connection in self._connections if connection.has_unsent]
        readable, _, _ = select.select(self._connections, unsent, [], min(longest_s, LOOK_S))
        for connection in readable:
            self._ended += connection.receive()
        for connection in self._connections:
            self._ended += connection.give_up()

    def _done(self, began_s: float, seconds: float, began_cpu_s: float) -> Calls:
        cpu_s = time.process_time() - began_cpu_s
        for connection in self._connections:
            connection.close()
        return Calls.of(self._ended, began_s, seconds, cpu_s)
