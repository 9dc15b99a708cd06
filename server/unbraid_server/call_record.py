"""What is known of a call while it is answered, for whoever tells of it afterwards."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

from unbraid_server.batch_record import Turn
from unbraid_server.marks import Marks, Part

__all__ = ["CallRecord", "CallWitness", "current_call", "enter_step"]

REQUEST_ID_TRAILER = "unbraid-request-id"
REQUEST_ID_HEADER = "x-request-id"
LONGEST_REQUEST_ID = 64

Metadata = Sequence[tuple[str, str | bytes]]

# gRPC runs every call in a context of its own, so what is set here ends with the call.
_current: ContextVar[CallRecord | None] = ContextVar("call", default=None)


@dataclass(slots=True, eq=False)
class CallRecord:
    """One call, from its arrival at the handler.

    Attributes:
        method: full name.
        request_id: as the caller chose it in ``x-request-id``, else by lot; it is sent back.
        release_id: the release that was active when the call began.
        metadata: that came with the call.
        is_stream: whether its caller decides how long it takes.
        began_s: seconds of ``time.perf_counter``.
        steps: of the call: parse, state, history, wait, answer, respond; and idle, in a stream.
        turn: what became of its questions, the last of several; None where it had none.
        ended_s: when it was done.
        code: name of its status.
    """

    method: str
    request_id: str
    release_id: str
    metadata: Metadata
    is_stream: bool
    began_s: float = field(default_factory=time.perf_counter)
    steps: Marks = field(default_factory=Marks)
    turn: Turn | None = None
    ended_s: float = 0.0
    code: str = ""

    @classmethod
    def begin(cls, method: str, release_id: str, metadata: Metadata, *, is_stream: bool = False) -> CallRecord:
        """A call that begins now, in this thread."""
        call = cls(method, _request_id(metadata), release_id, metadata, is_stream)
        _current.set(call)
        return call

    def take(self, turn: Turn) -> None:
        """Its questions had their turn."""
        self.turn = turn
        self.steps.add("wait", turn.asked_s)
        if turn.batch is not None:
            self.steps.add("answer", turn.batch.began_s)

    def end(self, code: str) -> None:
        """The call is done."""
        self.ended_s, self.code = time.perf_counter(), code

    @property
    def trailer(self) -> tuple[tuple[str, str], ...]:
        """What the end of the call says, good or bad: the id under which the log tells of it."""
        return ((REQUEST_ID_TRAILER, self.request_id),)

    @property
    def duration_s(self) -> float:
        """How long it took."""
        return self.ended_s - self.began_s

    @property
    def parts(self) -> list[Part]:
        """Its steps, in order."""
        return self.steps.parts(self.ended_s)


# Told of every call when it is done, in its own thread.
CallWitness = Callable[[CallRecord], None]


def current_call() -> CallRecord | None:
    """The call that this thread answers; None outside of calls."""
    return _current.get()


def enter_step(step: str) -> None:
    """A step of the current call begins."""
    call = _current.get()
    if call is not None:
        call.steps.enter(step)


def _request_id(metadata: Metadata) -> str:
    for key, value in metadata:
        if key == REQUEST_ID_HEADER and isinstance(value, str) and _is_sound(value):
            return value
    return f"{random.getrandbits(64):016x}"


def _is_sound(request_id: str) -> bool:
    """Whether it can be copied into logs, headers and traces."""
    return 0 < len(request_id) <= LONGEST_REQUEST_ID and request_id.isascii() and request_id.isprintable()
