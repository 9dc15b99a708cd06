"""Arrow columns as NumPy arrays."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from unbraid_core.types import BoolArray, DoubleArray

__all__ = ["Column", "IndexArray", "as_text", "doubles", "equals", "flags", "is_text", "strings"]

Column: TypeAlias = "pa.Array[Any]"
# Indices of users, items and actions, of which a data set has one for every event.
IndexArray = npt.NDArray[np.int32]


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


def doubles(column: Column) -> DoubleArray:
    """A column of numbers, null becoming NaN."""
    values: DoubleArray = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values
