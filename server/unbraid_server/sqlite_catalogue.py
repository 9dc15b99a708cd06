"""The catalogue store in one SQLite file: the latest change of every item, in the order of the changes.

    change  sequence -> item_id, item, space_id, vector, is_from_text

The item is JSON, NULL where it was deleted; the vector is little-endian float32.

A sequence number is given out under the lock of the file, so numbers become visible in their order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from unbraid_core.item_change import AttributeValue, Item, ItemChange, ItemVector
from unbraid_server.sqlite_file import SqliteFile, SqliteFormat, transaction

__all__ = ["SqliteCatalogueStore", "stored_changes"]

SCHEMA = """
CREATE TABLE change (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    item_id TEXT NOT NULL UNIQUE,
    item TEXT,
    space_id TEXT,
    vector BLOB,
    is_from_text INTEGER
) STRICT;
INSERT INTO sqlite_sequence (name, seq) VALUES ('change', 0);
"""
FORMAT = SqliteFormat(
    application_id=0x756E6263,  # "unbc"
    version=1,
    schema=SCHEMA,
    name="catalogue store",
    setting="catalogue",
    rescue="restore a copy, or remove the file and send the changes since the active release again",
)

# What is replaced lends its vector to a change without one; a deletion neither lends nor takes.
PUT_CHANGE = """
INSERT OR REPLACE INTO change (item_id, item, space_id, vector, is_from_text)
SELECT ?1, ?2, coalesce(?3, space_id), coalesce(?4, vector), coalesce(?5, is_from_text)
FROM (SELECT 1) LEFT JOIN change ON item_id = ?1 AND ?2 IS NOT NULL
"""
READ_CHANGES = """
SELECT sequence, item_id, item, space_id, vector, is_from_text FROM change WHERE sequence > ? ORDER BY sequence
"""
LAST_SEQUENCE = "SELECT seq FROM sqlite_sequence WHERE name = 'change'"
CONTINUE_AFTER = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'change'"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
TIME_KEY = "microseconds"

StoredVector = tuple[str, bytes, int] | tuple[None, None, None]


class SqliteCatalogueStore:
    """A CatalogueStore in a SQLite file, safe to share between threads and between processes.

    Args:
        path: the file; it is created where it does not exist.

    Raises:
        InvalidInput: the file cannot be created or written.
        IntegrityError: the file is damaged or no SQLite file.
        IncompatibleError: a SQLite file of something else, or of a newer unbraid.
    """

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, FORMAT)

    def apply(self, changes: Sequence[ItemChange]) -> int:
        """Store changes durably, all or none, and return the number of the last one.

        Raises:
            Unavailable: the file is locked by another process for too long, or the disk is full; nothing is stored.
        """
        rows = [(change.item_id, _item_text(change.item), *_stored_vector(change.vector)) for change in changes]
        with self._file.writing() as connection, transaction(connection):
            connection.executemany(PUT_CHANGE, rows)
            last: int = connection.execute(LAST_SEQUENCE).get
        return last

    def changes(self, after: int) -> Sequence[ItemChange]:
        """The stored changes with larger numbers than ``after``, in their order; one for each item."""
        with self._file.reading() as connection:
            return [_change(*columns) for columns in connection.execute(READ_CHANGES, (after,))]

    def last_sequence(self) -> int:
        """The largest number that was given out so far; 0 before the first."""
        with self._file.reading() as connection:
            last: int = connection.execute(LAST_SEQUENCE).get
        return last

    def continue_after(self, sequence: int) -> None:
        """Give out no number up to ``sequence`` any more."""
        if self.last_sequence() < sequence:
            with self._file.writing() as connection, transaction(connection):
                connection.execute(CONTINUE_AFTER, (sequence,))

    def prune(self, through: int) -> int:
        """Forget the changes up to a number, and return how many."""
        with self._file.writing() as connection, transaction(connection):
            connection.execute("DELETE FROM change WHERE sequence <= ?", (through,))
            return connection.changes()

    def close(self) -> None:
        """Close all connections; no call may be in progress."""
        self._file.close()


def _change(
    sequence: int,
    item_id: str,
    item_text: str | None,
    space_id: str | None,
    vector: bytes | None,
    is_from_text: int | None,
) -> ItemChange:
    item = None if item_text is None else _item(item_id, item_text)
    if space_id is None or vector is None:
        return ItemChange(item_id, item, None, sequence)
    vector_D = np.frombuffer(vector, "<f4").astype(np.float32)
    return ItemChange(item_id, item, ItemVector(space_id, vector_D, bool(is_from_text)), sequence)


def _stored_vector(vector: ItemVector | None) -> StoredVector:
    if vector is None:
        return None, None, None
    return vector.space_id, vector.vector_D.astype("<f4").tobytes(), int(vector.is_from_text)


def _item_text(item: Item | None) -> str | None:
    if item is None:
        return None
    attributes = {name: _plain(value) for name, value in item.attributes.items()}
    content = {"title": item.title, "categories": item.categories, "attributes": attributes}
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


def _item(item_id: str, text: str) -> Item:
    content = json.loads(text)
    attributes = {name: _typed(value) for name, value in content["attributes"].items()}
    return Item(item_id, content["title"], tuple(content["categories"]), attributes)


def _plain(value: AttributeValue) -> object:
    """JSON tells all kinds of values apart but times."""
    return {TIME_KEY: (value - EPOCH) // MICROSECOND} if isinstance(value, datetime) else value


def _typed(value: Any) -> AttributeValue:
    typed: AttributeValue = value
    if isinstance(value, dict):
        typed = EPOCH + value[TIME_KEY] * MICROSECOND
    elif isinstance(value, list):
        typed = tuple(value)
    return typed


@contextmanager
def stored_changes(path: Path) -> Iterator[SqliteCatalogueStore | None]:
    """The catalogue store in a file; None where there is no file, so that nothing has changed.

    Raises:
        InvalidInput, IntegrityError, IncompatibleError: as ``SqliteCatalogueStore``.
    """
    if not path.exists():
        yield None
        return
    store = SqliteCatalogueStore(path)
    try:
        yield store
    finally:
        store.close()
