"""What the batcher tells of its batches, and who listens."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from unbraid_core.types import Query, Ranking
from unbraid_server.marks import Marks, Part

__all__ = ["UNWATCHED", "BatchRecord", "BatchWatch", "ShedReason", "Turn"]


class ShedReason(StrEnum):
    """Why a question was not answered."""

    QUEUE_FULL = "queue_full"
    DEADLINE = "deadline"
    CALLER_GONE = "caller_gone"
    TOO_MANY = "too_many"


@dataclass(slots=True, weakref_slot=True, eq=False)
class BatchRecord:
    """One run of the pipeline, which begins when the record is made. Times are seconds of ``time.perf_counter``.

    Attributes:
        query_count: questions that it answers.
        began_s: when it began.
        marks: of its stages.
        ended_s: when it was done.
        degraded_count: answers of reduced effort among them.
    """

    query_count: int
    began_s: float = field(default_factory=time.perf_counter)
    marks: Marks = field(default_factory=Marks)
    ended_s: float = 0.0
    degraded_count: int = 0

    def end(self) -> None:
        """The run is done."""
        self.ended_s = time.perf_counter()

    @property
    def stages(self) -> list[Part]:
        """The stages of the pipeline, in order."""
        return self.marks.parts(self.ended_s)


class Turn(NamedTuple):
    """What became of the questions of one call.

    Attributes:
        queries: the questions.
        asked_s: when they came, seconds of ``time.perf_counter``.
        rankings: the answers; none where they were not answered.
        batch: in which they were answered; None where they were not.
    """

    queries: Sequence[Query]
    asked_s: float
    rankings: Sequence[Ranking] = ()
    batch: BatchRecord | None = None


class BatchWatch(Protocol):
    """Who wants to know how batches go. It must be quick: callers wait meanwhile."""

    def answered(self, batch: BatchRecord) -> None:
        """Told once a batch, in the thread that answered it."""
        ...

    def taken(self, turn: Turn) -> None:
        """Told once a call, in its own thread, when it is answered, or is not going to be."""
        ...

    def shed(self, reason: ShedReason) -> None:
        """Told once a call that is not answered."""
        ...


class _Unwatched:
    def answered(self, batch: BatchRecord) -> None: ...

    def taken(self, turn: Turn) -> None: ...

    def shed(self, reason: ShedReason) -> None: ...


UNWATCHED: BatchWatch = _Unwatched()
