"""What a load test does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from unbraid_client import Tls
from unbraid_load.arrivals import Step
from unbraid_load.calls import CallKind

__all__ = ["ClosedLoop", "LoadPlan", "OpenLoop"]


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Calls are made when they are due, whatever became of those before; latencies count from that moment."""

    steps: Sequence[Step]

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return sum(step.seconds for step in self.steps)


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """So many callers, each of which waits for its answer before it calls again.

    Attributes:
        callers: how many, in all processes together.
        seconds: how long.
    """

    callers: int
    seconds: float


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """A load test.

    Attributes:
        target: ``host:port``.
        kind: of call.
        requests: serialised, at least one.
        loop: when calls are made.
        warm_up_s: calls that begin so soon after the start are made, and not counted.
        count: the test ends after so many calls, where it does not end before; None for no such end.
        timeout_s: deadline of a call.
        processes: how many make the calls.
        connections: of each process; a server with several workers shares out connections, not calls.
        repeat_share: how many of the calls are about regulars, a tenth of the subjects.
        check_share: how many of the answers are read and checked.
        interval_s: how often the processes tell what became of their calls.
        seed: of all that is drawn.
        tls: how connections are encrypted; plain text where it is None.
        token: who calls; do not send one in plain text to another machine.
    """

    target: str
    kind: CallKind
    requests: Sequence[bytes]
    loop: OpenLoop | ClosedLoop
    warm_up_s: float = 2.0
    count: int | None = None
    timeout_s: float = 1.0
    processes: int = 1
    connections: int = 1
    repeat_share: float = 0.0
    check_share: float = 0.01
    interval_s: float = 0.5
    seed: int = 0
    tls: Tls | None = None
    token: str | None = field(default=None, repr=False)
