"""A SQLite file of ours: whose it is, its schema, connections to read and one to write, and its errors as ours."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

from unbraid_core.errors import IncompatibleError, IntegrityError, InvalidInput, Unavailable, UnbraidError
from unbraid_server.sqlite_connections import Connections

__all__ = ["SqliteFile", "SqliteFormat", "transaction"]

BUSY_TIMEOUT_MS = 5000
WAL_RETRY_MS = 20
# A read takes about 50 microseconds, most of them with the interpreter, so few are in progress at once.
READERS = 4


@dataclass(frozen=True, slots=True)
class SqliteFormat:
    """What makes a SQLite file one of ours.

    Attributes:
        application_id: tells it from other SQLite files.
        version: of the schema.
        schema: statements that make the tables.
        name: what the file is, for people.
        setting: under which name the path was given.
        rescue: what to do where the file is damaged.
        pragmas: of every connection, besides what all have.
    """

    application_id: int
    version: int
    schema: str
    name: str
    setting: str
    rescue: str
    pragmas: str = ""


class SqliteFile:
    """Opens a file, or makes a new one; safe to share between threads and between processes.

    Commits are on disk when they return.

    Raises:
        InvalidInput: the file cannot be created or written.
        IntegrityError: the file is damaged or no SQLite file.
        IncompatibleError: a SQLite file of something else, or of a newer unbraid.
    """

    def __init__(self, path: Path, format: SqliteFormat) -> None:  # noqa: A002 - nothing here formats
        self.path = path
        self._format = format
        with self._ours():
            self._writers = Connections(self._connect, 1, BUSY_TIMEOUT_MS / 1000)
            with self._writers.lend() as connection:
                self._prepare(connection)
            self._readers = Connections(self._connect, READERS, BUSY_TIMEOUT_MS / 1000)

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """A connection to read with; errors of SQLite become ours."""
        with self._ours(), self._readers.lend() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[apsw.Connection]:
        """The connection to write with, of which there is one, since SQLite lets one write at a time; errors likewise.

        So writers of this process wait for each other here, and the next one goes on at once. SQLite looks from time to
        time.
        """
        with self._ours(), self._writers.lend() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections; none may be in use."""
        self._readers.close()
        self._writers.close()

    @contextmanager
    def _ours(self) -> Iterator[None]:
        try:
            yield
        except apsw.Error as error:
            translated = self._translate(error)
            if translated is None:
                raise
            raise translated from error

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self.path))
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        connection.execute(f"PRAGMA synchronous=FULL; {self._format.pragmas}")
        # With the first look at the file, SQLite opens all that goes with it.
        connection.pragma("schema_version")
        return connection

    def _prepare(self, connection: apsw.Connection) -> None:
        """Check whose file it is before anything is written, and make the tables of a new one."""
        expected = self._format

        def is_ours() -> bool:
            return bool(connection.pragma("application_id") == expected.application_id)

        # Tables and id are committed as one, so the id is there where tables of ours are: look at it after them.
        has_tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
        if has_tables and not is_ours():
            raise IncompatibleError(f"{self.path}: a SQLite file, but not a {expected.name} of unbraid")
        if not has_tables:
            _switch_to_wal(connection)
            with transaction(connection):
                if not is_ours():  # nobody else was quicker
                    connection.execute(expected.schema)
                    connection.pragma("user_version", expected.version)
                    connection.pragma("application_id", expected.application_id)
        version = connection.pragma("user_version")
        if version != expected.version:
            raise IncompatibleError(
                f"{self.path}: schema version is {version}, this unbraid reads {expected.version}; use a newer unbraid"
            )

    def _translate(self, error: apsw.Error) -> UnbraidError | None:
        """What an error of SQLite means to a user; None where only a mistake of ours explains it."""
        match error:
            case apsw.NotADBError():
                return IntegrityError(f"{self.path}: not a SQLite file; name another file, or remove this one")
            case apsw.CorruptError():
                return IntegrityError(f"{self.path}: damaged ({error}); {self._format.rescue}")
            case apsw.CantOpenError() | apsw.ReadOnlyError() | apsw.PermissionsError():
                problem = f"{self.path} cannot be written ({error}); name a file in a folder of yours"
                return InvalidInput(self._format.setting, problem)
            case apsw.BusyError() | apsw.LockedError() | apsw.FullError() | apsw.IOError():
                return Unavailable(f"{self.path}: {error}")
            case _:
                return None


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
def transaction(connection: apsw.Connection) -> Iterator[None]:
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
