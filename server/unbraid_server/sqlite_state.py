"""The state store in one SQLite file: what users did, durably, and erasable.

    user   user_key -> user_id
    event  user_key, time_s, item_id, action; one unique index both finds duplicates and reads a user's newest events

``event_key`` grows with every insert, so events of equal time keep the order in which they were stored.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from weakref import WeakSet

import apsw

from unbraid_core.errors import IncompatibleError, IntegrityError, InvalidInput, NotFound, Unavailable, UnbraidError
from unbraid_core.ports import Event, UserEvent

__all__ = ["SqliteStateStore"]

APPLICATION_ID = 0x756E6272  # "unbr", tells our files from other SQLite files
SCHEMA_VERSION = 1
BUSY_TIMEOUT_MS = 5000
WAL_RETRY_MS = 20
EVENTS_PER_COMMIT = 1000

SCHEMA = f"""
CREATE TABLE user (
    user_key INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE event (
    event_key INTEGER PRIMARY KEY,
    user_key INTEGER NOT NULL,
    time_s REAL NOT NULL,
    item_id TEXT NOT NULL,
    action TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX event_of_user ON event (user_key, time_s, item_id, action);
PRAGMA user_version = {SCHEMA_VERSION};
PRAGMA application_id = {APPLICATION_ID};
"""

ADD_USER = "INSERT INTO user (user_id) VALUES (?) ON CONFLICT DO NOTHING"
ADD_EVENT = """
INSERT INTO event (user_key, time_s, item_id, action)
SELECT user_key, ?2, ?3, ?4 FROM user WHERE user_id = ?1
ON CONFLICT DO NOTHING
"""
READ_NEWEST = """
SELECT item_id, time_s, action FROM event
WHERE user_key = (SELECT user_key FROM user WHERE user_id = ?)
ORDER BY time_s DESC, event_key DESC LIMIT ?
"""
DELETE_EVENTS = "DELETE FROM event WHERE user_key = (SELECT user_key FROM user WHERE user_id = ?)"
DELETE_USER = "DELETE FROM user WHERE user_id = ?"


class _OfThread(threading.local):
    connection: apsw.Connection | None = None


class SqliteStateStore:
    """A StateStore in a SQLite file, safe to share between threads and between processes.

    Events are committed in groups of at most 1000, each group on disk before the next one starts, so events that were
    counted as stored survive a crash. Erased events are overwritten, not just unlinked.

    Args:
        path: the file; it is created where it does not exist.

    Raises:
        InvalidInput: the file cannot be created or written.
        IntegrityError: the file is damaged or no SQLite file.
        IncompatibleError: a SQLite file of something else, or of a newer unbraid.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._of_thread = _OfThread()
        self._connections: WeakSet[apsw.Connection] = WeakSet()
        self._lock = threading.Lock()
        with self._open() as connection:
            self._prepare(connection)

    def append(self, events: Iterable[UserEvent]) -> int:
        """Store events durably and return how many were new; storing the same event again changes nothing.

        Raises:
            InvalidInput: an id is empty or a time is not finite; the groups before it are stored.
            Unavailable: the file is locked by another process for too long, or the disk is full.
        """
        remaining = iter(events)
        new_count = 0
        while group := list(islice(remaining, EVENTS_PER_COMMIT)):
            new_count += self._commit(group)
        return new_count

    def read(self, user_id: str, limit: int) -> Sequence[Event]:
        """The newest ``limit`` events of a user, oldest first; equal times in the order in which they were stored.

        Raises:
            NotFound: the store knows no event of this user.
        """
        with self._open() as connection:
            newest = connection.execute(READ_NEWEST, (user_id, limit)).fetchall()
        if not newest:
            raise NotFound(f"user {user_id!r} has no events in the state store", user_id=user_id)
        return [Event(*columns) for columns in reversed(newest)]

    def delete_user(self, user_id: str) -> int:
        """Forget a user for good, in the write-ahead log too, and return how many events were removed.

        Raises:
            Unavailable: another process reads or writes for too long; the same call later finishes the erasure.
        """
        with self._open() as connection:
            with _transaction(connection):
                connection.execute(DELETE_EVENTS, (user_id,))
                removed_count = connection.changes()
                connection.execute(DELETE_USER, (user_id,))
            is_busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").get
        if is_busy:
            raise Unavailable(f"{self._path}: in use, so the log still holds user {user_id!r}; delete once more")
        return removed_count

    def count_users(self) -> int:
        """Number of users with at least one event."""
        return self._count("SELECT count(*) FROM user")

    def count_events(self) -> int:
        """Number of events."""
        return self._count("SELECT count(*) FROM event")

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            for connection in self._connections:
                connection.close()

    def _commit(self, group: Sequence[UserEvent]) -> int:
        rows = [_row(user_event) for user_event in group]
        with self._open() as connection, _transaction(connection):
            connection.executemany(ADD_USER, [(user_id,) for user_id in {row[0] for row in rows}])
            changes_before = connection.total_changes()
            connection.executemany(ADD_EVENT, rows)
            return connection.total_changes() - changes_before

    def _count(self, query: str) -> int:
        with self._open() as connection:
            return int(connection.execute(query).get)

    @contextmanager
    def _open(self) -> Iterator[apsw.Connection]:
        """The connection of this thread; errors of SQLite become ours."""
        try:
            if self._of_thread.connection is None:
                self._of_thread.connection = self._connect()
            yield self._of_thread.connection
        except apsw.Error as error:
            translated = _translate(error, self._path)
            if translated is None:
                raise
            raise translated from error

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self._path))
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        connection.execute("PRAGMA synchronous=FULL; PRAGMA secure_delete=ON")
        with self._lock:
            self._connections.add(connection)
        return connection

    def _prepare(self, connection: apsw.Connection) -> None:
        """Check whose file it is before anything is written, and make the tables of a new one."""
        if connection.pragma("application_id") != APPLICATION_ID:
            if connection.execute("SELECT count(*) FROM sqlite_schema").get:
                raise IncompatibleError(f"{self._path}: a SQLite file, but not a state store of unbraid")
            _switch_to_wal(connection)
            with _transaction(connection):
                if connection.pragma("application_id") != APPLICATION_ID:  # nobody else was quicker
                    connection.execute(SCHEMA)
        version = connection.pragma("user_version")
        if version != SCHEMA_VERSION:
            raise IncompatibleError(
                f"{self._path}: schema version is {version}, this unbraid reads {SCHEMA_VERSION}; use a newer unbraid"
            )


def _switch_to_wal(connection: apsw.Connection) -> None:
    """Turn on the write-ahead log; SQLite does not wait for a lock here by itself, so several openers would collide."""
    for _ in range(BUSY_TIMEOUT_MS // WAL_RETRY_MS):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except apsw.BusyError:
            time.sleep(WAL_RETRY_MS / 1000)
        else:
            return
    raise apsw.BusyError("database is locked")


@contextmanager
def _transaction(connection: apsw.Connection) -> Iterator[None]:
    """A write transaction.

    ``with connection`` of apsw 3.54 holds the GIL while it waits for the lock of the file, so the thread that has the
    lock could never finish; ``execute`` lets other threads run.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _row(user_event: UserEvent) -> tuple[str, float, str, str]:
    event = user_event.event
    if not user_event.user_id or not event.item_id:
        raise InvalidInput("user_id" if not user_event.user_id else "item_id", "is empty; every event needs both ids")
    if not math.isfinite(event.time_s):
        raise InvalidInput("time_s", f"{event.time_s} is not a time; give finite epoch seconds")
    return user_event.user_id, event.time_s, event.item_id, event.action


def _translate(error: apsw.Error, path: Path) -> UnbraidError | None:
    """What an error of SQLite means to a user; None where only a mistake of ours explains it."""
    match error:
        case apsw.NotADBError():
            return IntegrityError(f"{path}: not a SQLite file; name another file, or remove this one")
        case apsw.CorruptError():
            return IntegrityError(f"{path}: damaged ({error}); restore a copy, or import the events into a new file")
        case apsw.CantOpenError() | apsw.ReadOnlyError() | apsw.PermissionsError():
            return InvalidInput("state", f"{path} cannot be written ({error}); name a file in a folder of yours")
        case apsw.BusyError() | apsw.LockedError() | apsw.FullError() | apsw.IOError():
            return Unavailable(f"{path}: {error}")
        case _:
            return None
