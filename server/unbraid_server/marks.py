"""When the parts of something began: the steps of a call, the stages of a batch."""

from __future__ import annotations

from itertools import pairwise
from time import perf_counter
from typing import NamedTuple

__all__ = ["Marks", "Part"]

# A stream goes on for as long as its caller likes; what it keeps in memory must not.
MOST_MARKS = 256


class Part(NamedTuple):
    """One part, in seconds of ``time.perf_counter``."""

    name: str
    began_s: float
    ended_s: float

    @property
    def duration_s(self) -> float:
        """How long it took."""
        return self.ended_s - self.began_s


class Marks:
    """Parts that follow each other without gaps: one ends where the next begins. Parts beyond 256 are not kept.

    Attributes:
        names: of the parts, in order.
        begun_s: when each began, seconds of ``time.perf_counter``.
    """

    __slots__ = ("begun_s", "names")

    def __init__(self) -> None:
        self.names: list[str] = []
        self.begun_s: list[float] = []

    def enter(self, name: str) -> None:
        """A part begins now."""
        # Not by way of ``add``: every batch comes here once for each stage, and every call for each step.
        if len(self.names) < MOST_MARKS:
            self.names.append(name)
            self.begun_s.append(perf_counter())

    def add(self, name: str, began_s: float) -> None:
        """A part began then, after all that are known."""
        if len(self.names) < MOST_MARKS:
            self.names.append(name)
            self.begun_s.append(began_s)

    def parts(self, ended_s: float) -> list[Part]:
        """All parts, the last of which ended at ``ended_s``."""
        ends = pairwise([*self.begun_s, ended_s])
        return [Part(name, *times) for name, times in zip(self.names, ends, strict=True)]
