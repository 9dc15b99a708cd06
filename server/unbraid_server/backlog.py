"""Entries that are counted many at a time.

A server comes back to its books after milliseconds of computation, which leave nothing of them in the caches of the
processor: then each function that has to be called takes many times what it takes in a loop. So a call only leaves a
note, and the notes of many calls are counted at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, TypeVar

__all__ = ["Backlog"]

Entry = TypeVar("Entry")

COUNTED_AT_ONCE = 256


class Backlog(Generic[Entry]):
    """Keeps entries until there are enough of them, or somebody wants to know. Safe for several threads.

    Args:
        count: counts entries; never called by two threads at once.
    """

    __slots__ = ("_count", "_entries", "_lock")

    def __init__(self, count: Callable[[Sequence[Entry]], None]) -> None:
        self._count = count
        self._entries: deque[Entry] = deque()
        self._lock = Lock()

    def add(self, entry: Entry) -> None:
        """Keep an entry."""
        self._entries.append(entry)
        if len(self._entries) >= COUNTED_AT_ONCE:
            self.settle()

    def settle(self) -> None:
        """Count all entries that are kept."""
        with self._lock:
            entries = [self._entries.popleft() for _ in range(len(self._entries))]
            if entries:
                self._count(entries)
