"""A bounded queue in which no client can take the places of the others."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["FairQueue"]

T = TypeVar("T")


@dataclass(slots=True)
class _Line(Generic[T]):
    """What one client waits for, oldest first, and how much of the queue that takes."""

    entries: deque[tuple[T, int]] = field(default_factory=deque)
    weight: int = 0


class FairQueue(Generic[T]):
    """Clients are served in turn, each in its own order. Not safe for several threads: its owner has a lock.

    Where it is full, a newcomer takes the place of what came last from the client that waits for most, unless that is
    the newcomer's own client. Nobody gives way to a newcomer that has no room even so.

    Args:
        capacity: how much may wait, in the unit of the weights.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lines: dict[str, _Line[T]] = {}  # in the order in which the clients have their turn
        self.weight = 0

    def put(self, client: str, entry: T, weight: int) -> list[T]:
        """Add an entry, and return what has to leave for it: nothing, entries of others, or the entry alone."""
        losers = self._losers_to(client, weight)
        if losers is None:
            return [entry]
        displaced = [self._drop_newest(loser) for loser in losers]
        line = self._lines.setdefault(client, _Line())
        line.entries.append((entry, weight))
        line.weight += weight
        self.weight += weight
        return displaced

    def peek(self) -> T | None:
        """The entry whose turn it is, None where nothing waits."""
        line = next(iter(self._lines.values()), None)
        return None if line is None else line.entries[0][0]

    def pop(self) -> T:
        """Take the entry whose turn it is; then it is the next client's."""
        client = next(iter(self._lines))
        line = self._lines.pop(client)
        entry, weight = line.entries.popleft()
        self._shrink(line, weight)
        if line.entries:
            self._lines[client] = line
        return entry

    def _losers_to(self, client: str, weight: int) -> list[str] | None:
        """The clients that lose their newest entries to a newcomer, one by one; None where it has no room even so."""
        losers: list[str] = []
        excess = self.weight + weight - self._capacity
        if excess <= 0:
            return losers
        held = {name: line.weight for name, line in self._lines.items()}
        newest = {name: reversed(line.entries) for name, line in self._lines.items()}
        fair_weight = held.get(client, 0) + weight
        while excess > 0:
            longest = max(held, key=held.__getitem__, default=client)
            if longest == client or held[longest] <= fair_weight:
                return None
            _, lost = next(newest[longest])
            held[longest] -= lost
            excess -= lost
            losers.append(longest)
        return losers

    def _drop_newest(self, client: str) -> T:
        line = self._lines[client]
        entry, weight = line.entries.pop()
        self._shrink(line, weight)
        if not line.entries:
            del self._lines[client]
        return entry

    def _shrink(self, line: _Line[T], weight: int) -> None:
        line.weight -= weight
        self.weight -= weight
