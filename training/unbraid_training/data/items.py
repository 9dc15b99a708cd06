"""Items: from columns of a file to the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import InvalidInput
from unbraid_core.types import BoolArray
from unbraid_training.data.attributes import attribute_column, timestamps
from unbraid_training.data.columns import Column, as_text, equals
from unbraid_training.data.events import MISSING_ITEM_ID
from unbraid_training.data.report import FileReport, Reason
from unbraid_training.data.row_filter import RowFilter
from unbraid_training.data.tables import RawTable, read_table
from unbraid_training.data.times import TIME_OUT_OF_RANGE, UNPARSABLE_TIME, parse_times

__all__ = [
    "CATEGORY_SEPARATOR",
    "DUPLICATE_ITEM",
    "MISSING_TITLE",
    "ItemColumns",
    "build_catalogue",
    "read_items",
    "split_categories",
]

DUPLICATE_ITEM = Reason("duplicate item", "write every item once")
MISSING_TITLE = Reason("missing title", "give every item a title")
CATEGORY_COLUMNS = ("categories", "category")
CATEGORY_SEPARATOR = "|"


@dataclass(frozen=True, slots=True, eq=False)
class ItemColumns:
    """Items as they stand in a file's N rows: ids, titles (empty: missing), lists of categories, typed attributes."""

    item_id_N: pa.StringArray
    title_N: pa.StringArray
    categories_N: Column
    attributes: Mapping[str, Column]


def read_items(path: Path) -> tuple[Catalogue, FileReport]:
    """Read a file with the column item_id and optionally title, categories (or category) and created_time.

    Categories are separated by ``|``; in a Parquet file they can be a list. All further columns become attributes of
    the type that their values have, as ``attribute_column`` says.

    Args:
        path: a .csv, .csv.gz or .parquet file.

    Raises:
        NotFound: there is no such file.
        InvalidInput: the file cannot be read, a column is missing or of the wrong type, or no usable item is left.
    """
    table = read_table(path, ("item_id", "title", "created_time", *CATEGORY_COLUMNS))
    rows = RowFilter(table)
    category_column = next((name for name in CATEGORY_COLUMNS if table.has(name)), "categories")
    attributes = {
        name: attribute_column(table.column(name))
        for name in table.table.column_names
        if name not in ("item_id", "title", category_column)
    }
    times = parse_times(table.column("created_time")) if "created_time" in attributes else None
    if times is not None:
        attributes["created_time"] = timestamps(times)
    columns = ItemColumns(
        table.text("item_id"), table.optional_text("title"), _categories(table, category_column), attributes
    )
    catalogue = build_catalogue(rows, columns)
    if times is not None:
        rows.note(times.outside_N, TIME_OUT_OF_RANGE, table.column("created_time"))
        rows.note(times.unparsable_N, UNPARSABLE_TIME, table.column("created_time"))
    return catalogue, rows.report()


def build_catalogue(rows: RowFilter, columns: ItemColumns) -> Catalogue:
    """Make a catalogue of the items that are left, in the order of the file; of items with one id the first counts.

    Args:
        rows: decides about the rows that the columns were taken from.
        columns: the items.

    Raises:
        InvalidInput: no usable item is left.
    """
    rows.reject(equals(columns.item_id_N, ""), MISSING_ITEM_ID)
    rows.reject(_repeats(columns.item_id_N), DUPLICATE_ITEM, columns.item_id_N)
    rows.note(equals(columns.title_N, ""), MISSING_TITLE, columns.item_id_N)
    fixed = {"item_id": columns.item_id_N, "title": columns.title_N, "categories": columns.categories_N}
    rows.ledger.require_rows()
    return Catalogue(pa.table({**fixed, **columns.attributes}).take(rows.kept()))


def split_categories(text: pa.StringArray, separator: str) -> Column:
    """Lists of the parts of each string, trimmed; empty parts are left out."""
    return _without_blanks(pc.split_pattern(text, separator))


def _categories(table: RawTable, name: str) -> Column:
    if not table.has(name):
        return split_categories(table.optional_text(name), CATEGORY_SEPARATOR)
    column = table.column(name)
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        return split_categories(table.text(name), CATEGORY_SEPARATOR)
    try:
        return _without_blanks(column.cast(pa.list_(pa.string())))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        problem = f"column {name!r} has type {column.type}, expected a string or a list of strings; convert it"
        raise InvalidInput(str(table.path), problem) from None


def _without_blanks(lists: Column) -> Column:
    parent = pc.list_parent_indices(lists).to_numpy()
    part = pc.utf8_trim_whitespace(as_text(pc.list_flatten(lists)))
    real = ~equals(part, "")
    count_N = np.bincount(parent[real], minlength=len(lists))
    offset_N1 = np.concatenate([[0], np.cumsum(count_N)])
    return pa.ListArray.from_arrays(pa.array(offset_N1, pa.int32()), part.filter(real))


def _repeats(item_id_N: pa.StringArray) -> BoolArray:
    """Rows whose id stands in an earlier row already."""
    again_N: BoolArray = np.ones(len(item_id_N), np.bool_)
    again_N[np.unique(item_id_N.dictionary_encode().indices.to_numpy(), return_index=True)[1]] = False
    return again_N
