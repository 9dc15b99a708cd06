"""Items as rows of a catalogue's table, and back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from unbraid_core.item_change import AttributeValue, Item

__all__ = ["FIXED", "fits", "item_of", "kind_name", "table_of"]

FIXED = ("item_id", "title", "categories")
# Times of nanoseconds end with these years.
NANOSECOND_YEARS, ALL_YEARS = range(1678, 2262), range(1, 10_000)


def kind_name(kind: pa.DataType) -> str:
    """What the values of an attribute column are, for people."""
    if pa.types.is_floating(kind):
        return "a number"
    if pa.types.is_integer(kind):
        return "an integer"
    if pa.types.is_timestamp(kind):
        return "a time"
    if pa.types.is_boolean(kind):
        return "a boolean"
    return "a string" if pa.types.is_string(kind) else f"a {kind}"


def fits(value: AttributeValue, kind: pa.DataType) -> bool:
    """Whether a value can stand in an attribute column of a type."""
    match value:
        case bool():
            return bool(pa.types.is_boolean(kind))
        case int() if pa.types.is_integer(kind):
            limits = np.iinfo(str(kind))
            return bool(limits.min <= value <= limits.max)
        case int() | float():
            return bool(pa.types.is_floating(kind))
        case datetime() if pa.types.is_timestamp(kind):
            return value.year in (NANOSECOND_YEARS if kind.unit == "ns" else ALL_YEARS)
        case tuple():
            return bool(pa.types.is_list(kind) and pa.types.is_string(kind.value_type))
        case _:
            return isinstance(value, str) and bool(pa.types.is_string(kind))


def table_of(items: Sequence[Item], schema: pa.Schema) -> pa.Table:
    """A table with one row for each item.

    Attributes that the schema does not have are left out; one that does not fit its column is null. Both happen only
    where a change is older than the catalogue: who sends one is told.
    """
    columns: dict[str, pa.Array[Any]] = {
        "item_id": pa.array([item.item_id for item in items], pa.string()),
        "title": pa.array([item.title for item in items], pa.string()),
        "categories": pa.array([item.categories for item in items], pa.list_(pa.string())),
    }
    for field in schema:
        if field.name not in FIXED:
            columns[field.name] = _attribute([item.attributes.get(field.name) for item in items], field.type)
    return pa.table([columns[name] for name in schema.names], schema=schema)


def item_of(table: pa.Table, row: int) -> Item:
    """The item of a row; attributes that are null are left out, and columns that hold no attribute values."""
    names = [field.name for field in table.schema if field.name in FIXED or _holds_attributes(field.type)]
    [values] = table.select(names).slice(row, 1).to_pylist()
    attributes = {name: _known(value) for name, value in values.items() if name not in FIXED and value is not None}
    return Item(values["item_id"], values["title"] or "", tuple(values["categories"] or ()), attributes)


def _holds_attributes(kind: pa.DataType) -> bool:
    scalars = (
        pa.types.is_string,
        pa.types.is_boolean,
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_timestamp,
    )
    return any(is_kind(kind) for is_kind in scalars) or (pa.types.is_list(kind) and pa.types.is_string(kind.value_type))


def _attribute(values: Sequence[AttributeValue | None], kind: pa.DataType) -> pa.Array[Any]:
    fitting: list[Any] = [value if value is not None and fits(value, kind) else None for value in values]
    column: pa.Array[Any]
    if pa.types.is_floating(kind):
        column = pa.array([None if value is None else float(value) for value in fitting], kind)
    elif pa.types.is_timestamp(kind):
        column = pa.array(fitting, pa.timestamp("us", "UTC")).cast(kind, safe=False)
    else:
        column = pa.array(fitting, kind)
    return column


def _known(value: Any) -> AttributeValue:
    known: AttributeValue = value
    if isinstance(value, list):
        known = tuple(part for part in value if part is not None)
    elif isinstance(value, datetime):
        known = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return known
