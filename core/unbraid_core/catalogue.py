"""The catalogue: what the items are called, and which row each of them has.

Stored as an Arrow IPC file that is memory-mapped, so worker processes share its pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from unbraid_core.errors import IntegrityError, InvalidInput
from unbraid_core.types import IntArray

__all__ = ["Catalogue"]

ROWS_AT_ONCE = 16_384
FIXED_COLUMNS = {"item_id": pa.string(), "title": pa.string(), "categories": pa.list_(pa.string())}


class Catalogue:
    """Items by row: id, title, categories, and any typed attribute columns.

    Args:
        table: columns item_id (string, unique, no nulls), title (string), categories (list of string), then attributes.

    Raises:
        IntegrityError: a fixed column is missing or of another type, or an id is null or repeated.
    """

    def __init__(self, table: pa.Table) -> None:
        for name, kind in FIXED_COLUMNS.items():
            if name not in table.column_names or table.schema.field(name).type != kind:
                raise IntegrityError(f"catalogue: column {name!r} of type {kind} is missing")
        self.table = table.combine_chunks()
        ids = self.table.column("item_id")
        # Arrow lets no other thread run while it makes strings; between the pieces of a large catalogue they can.
        pieces = (ids.slice(start, ROWS_AT_ONCE).to_pylist() for start in range(0, len(ids), ROWS_AT_ONCE))
        self.item_ids = [item_id for piece in pieces for item_id in piece if item_id is not None]
        self._row_of = {item_id: row for row, item_id in enumerate(self.item_ids)}
        if len(self._row_of) != len(self.table):
            raise IntegrityError("catalogue: column 'item_id' has a null or repeated id")

    @classmethod
    def of(
        cls,
        item_ids: Sequence[str],
        titles: Sequence[str] | None = None,
        categories: Sequence[Sequence[str]] | None = None,
        attributes: Mapping[str, pa.Array[Any]] | None = None,
    ) -> Catalogue:
        """Build a catalogue from plain sequences; missing titles are empty, missing categories are empty lists."""
        columns = {
            "item_id": pa.array(item_ids, pa.string()),
            "title": pa.array(titles if titles is not None else [""] * len(item_ids), pa.string()),
            "categories": pa.array(
                categories if categories is not None else [[]] * len(item_ids), FIXED_COLUMNS["categories"]
            ),
        }
        return cls(pa.table({**columns, **(attributes or {})}))

    @classmethod
    def open(cls, path: Path) -> Catalogue:
        """Memory-map a catalogue file.

        Raises:
            IntegrityError: not an Arrow file, or not a catalogue.
        """
        try:
            with pa.memory_map(str(path)) as source:
                return cls(pa.ipc.open_file(source).read_all())
        except pa.ArrowInvalid as error:
            raise IntegrityError(f"{path.name}: not an Arrow file: {error}") from None

    def write(self, path: Path) -> None:
        """Write the catalogue as an Arrow IPC file."""
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, self.table.schema) as writer:
            writer.write_table(self.table)

    def __len__(self) -> int:
        return len(self.item_ids)

    @cached_property
    def row_by_id_I(self) -> IntArray:
        """All rows in the order of their ids; worked out when it is asked for first."""
        order_I: IntArray = pc.sort_indices(self.table.column("item_id")).to_numpy().astype(np.int64)
        return order_I

    def row(self, item_id: str) -> int:
        """The row of an item, -1 where the catalogue does not know it."""
        return self._row_of.get(item_id, -1)

    def rows(self, item_ids: Sequence[str]) -> IntArray:
        """The rows of items, -1 for unknown ones: int64 [len(item_ids)]."""
        return np.fromiter(map(self._row_of.get, item_ids, repeat(-1)), np.int64, len(item_ids))

    def title(self, row: int) -> str:
        """The title of a row, empty where it has none."""
        return self.table.column("title")[row].as_py() or ""

    def categories(self, row: int) -> list[str]:
        """The categories of a row."""
        return self.table.column("categories")[row].as_py() or []

    def titles(self, rows: IntArray) -> list[str]:
        """The titles of many rows; one call costs a tenth of as many calls of ``title``."""
        return [title or "" for title in self.table.column("title").take(rows).to_pylist()]

    def category_lists(self, rows: IntArray) -> list[list[str]]:
        """The categories of many rows."""
        return [names or [] for names in self.table.column("categories").take(rows).to_pylist()]

    def take(self, rows: IntArray) -> Catalogue:
        """A catalogue of the given rows, in the given order."""
        return Catalogue(self.table.take(rows))

    def followed_by(self, items: Catalogue) -> Catalogue:
        """These items and behind them others, none of which is among these.

        The columns are those of this catalogue: an attribute that the others lack is null, and one that only they have
        is left out.

        Raises:
            InvalidInput: an attribute has another type there.
        """
        columns = [_column(items.table, field) for field in self.table.schema]
        return Catalogue(pa.concat_tables([self.table, pa.table(columns, schema=self.table.schema)]))


def _column(table: pa.Table, field: pa.Field[Any]) -> pa.ChunkedArray[Any]:
    if field.name not in table.column_names:
        return pa.chunked_array([pa.nulls(len(table), field.type)])
    column = table.column(field.name)
    try:
        return pa.chunked_array(column.cast(field.type).chunks, field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise InvalidInput(
            "items", f"column {field.name!r} has type {column.type}, the catalogue has {field.type}; convert it"
        ) from None
