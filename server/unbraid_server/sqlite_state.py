"""The state store in one SQLite file: what users did, durably, and erasable.

    user   user_key -> user_id
    event  user_key, time_s, item_id, action; one unique index both finds duplicates and reads a user's newest events

``event_key`` grows with every insert, so events of equal time keep the order in which they were stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from unbraid_core.errors import InvalidInput, NotFound, Unavailable
from unbraid_core.ports import Event, UserEvent
from unbraid_server.sqlite_file import SqliteFile, SqliteFormat, transaction

__all__ = ["SqliteStateStore"]

EVENTS_PER_COMMIT = 1000

SCHEMA = """
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
"""
FORMAT = SqliteFormat(
    application_id=0x756E6272,  # "unbr"
    version=1,
    schema=SCHEMA,
    name="state store",
    setting="state",
    rescue="restore a copy, or import the events into a new file",
    pragmas="PRAGMA secure_delete=ON",
)

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
        self._file = SqliteFile(path, FORMAT)

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
        with self._file.reading() as connection:
            newest = connection.execute(READ_NEWEST, (user_id, limit)).fetchall()
        if not newest:
            raise NotFound(f"user {user_id!r} has no events in the state store", user_id=user_id)
        return [Event(*columns) for columns in reversed(newest)]

    def delete_user(self, user_id: str) -> int:
        """Forget a user for good, in the write-ahead log too, and return how many events were removed.

        Raises:
            Unavailable: another process reads or writes for too long; the same call later finishes the erasure.
        """
        with self._file.writing() as connection:
            with transaction(connection):
                connection.execute(DELETE_EVENTS, (user_id,))
                removed_count = connection.changes()
                connection.execute(DELETE_USER, (user_id,))
            is_busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").get
        if is_busy:
            raise Unavailable(f"{self._file.path}: in use, so the log still holds user {user_id!r}; delete once more")
        return removed_count

    def count_users(self) -> int:
        """Number of users with at least one event."""
        return self._count("SELECT count(*) FROM user")

    def count_events(self) -> int:
        """Number of events."""
        return self._count("SELECT count(*) FROM event")

    def close(self) -> None:
        """Close all connections; no call may be in progress."""
        self._file.close()

    def _commit(self, group: Sequence[UserEvent]) -> int:
        rows = [_row(user_event) for user_event in group]
        with self._file.writing() as connection, transaction(connection):
            connection.executemany(ADD_USER, [(user_id,) for user_id in {row[0] for row in rows}])
            changes_before = connection.total_changes()
            connection.executemany(ADD_EVENT, rows)
            return connection.total_changes() - changes_before

    def _count(self, query: str) -> int:
        with self._file.reading() as connection:
            return int(connection.execute(query).get)


def _row(user_event: UserEvent) -> tuple[str, float, str, str]:
    event = user_event.event
    if not user_event.user_id or not event.item_id:
        raise InvalidInput("user_id" if not user_event.user_id else "item_id", "is empty; every event needs both ids")
    if not math.isfinite(event.time_s):
        raise InvalidInput("time_s", f"{event.time_s} is not a time; give finite epoch seconds")
    return user_event.user_id, event.time_s, event.item_id, event.action
