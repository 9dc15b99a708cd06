"""The connections of a process to one SQLite file: so many from the beginning, however many threads use them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, LifoQueue

import apsw

__all__ = ["Connections"]


class Connections:
    """Lends connections to threads, each to one at a time. The one that was given back last is lent first.

    A connection keeps memory and open files for as long as it lives. One for each of a hundred threads would take them
    little by little, as the threads come to need theirs.

    Args:
        connect: opens one.
        count: how many; they are opened at once.
        timeout_s: how long a thread waits for one.
    """

    def __init__(self, connect: Callable[[], apsw.Connection], count: int, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._all = [connect() for _ in range(count)]
        self._idle: LifoQueue[apsw.Connection] = LifoQueue()
        for connection in self._all:
            self._idle.put(connection)

    @contextmanager
    def lend(self) -> Iterator[apsw.Connection]:
        """A connection for as long as the context lasts.

        Raises:
            apsw.BusyError: others have all of them for too long.
        """
        try:
            connection = self._idle.get(timeout=self._timeout_s)
        except Empty:
            raise apsw.BusyError("too many threads use it") from None
        try:
            yield connection
        finally:
            self._idle.put(connection)

    def close(self) -> None:
        """Close all; none may be lent any more."""
        for connection in self._all:
            connection.close()
