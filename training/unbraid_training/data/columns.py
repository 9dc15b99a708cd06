"""Arrow columns as NumPy arrays."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from unbraid_core.types import BoolArray, DoubleArray, IntArray

__all__ = ["Column", "as_text", "codes", "doubles", "equals", "flags", "is_text", "known", "strings"]

Column: TypeAlias = "pa.Array[Any]"


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is one of Arrow's string types."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def as_text(column: Column) -> pa.StringArray:
    """A column of strings or whole numbers as plain strings, null becoming an empty string."""
    return cast("pa.StringArray", column.cast(pa.string()).fill_null(""))


def strings(column: pa.StringArray) -> list[str]:
    """The values of a column without nulls."""
    return cast("list[str]", column.to_pylist())


def flags(column: pa.BooleanArray) -> BoolArray:
    """A column of truth values, null counting as False."""
    values: BoolArray = column.fill_null(False).to_numpy(zero_copy_only=False)
    return values


def equals(column: pa.StringArray, value: str) -> BoolArray:
    """Where a column has a value."""
    return flags(pc.equal(column, pa.scalar(value)))


def known(column: pa.StringArray, values: pa.StringArray) -> BoolArray:
    """Where a column has one of several values."""
    return flags(pc.is_in(column, values))


def doubles(column: Column) -> DoubleArray:
    """A column of numbers, null becoming NaN."""
    values: DoubleArray = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values


def codes(column: pa.StringArray, values: pa.StringArray) -> IntArray:
    """Where each value of a column stands among ``values``; all of them do."""
    return pc.index_in(column, values).to_numpy(zero_copy_only=False).astype(np.int64)
