"""Columns of items as attributes: of few types, so that all that reads a catalogue knows what it may find."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from unbraid_training.data.columns import Column, is_text
from unbraid_training.data.times import Times, parse_times

__all__ = ["attribute_column", "timestamps"]

IsKind = Callable[[pa.DataType], bool]
STORED_AS: tuple[tuple[IsKind, pa.DataType], ...] = (
    (is_text, pa.string()),
    (pa.types.is_time, pa.string()),
    (pa.types.is_decimal, pa.float64()),
    (pa.types.is_float16, pa.float32()),
    (pa.types.is_binary_view, pa.binary()),
)


def attribute_column(column: Column) -> Column:
    """A column as it stands in a catalogue.

    Texts and times of day become strings, decimals float64, dates and timestamps UTC timestamps of microseconds. A
    number that is not finite, and a time outside the years 1 to 9999, is null. Unsigned integers that are too large for
    int64 become float64. What is left, such as lists of numbers, stays as it is.
    """
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return timestamps(parse_times(column))
    if pa.types.is_uint64(kind):
        return _signed(column)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return column.cast(pa.list_(pa.string())) if is_text(kind.value_type) else column
    stored = next((stored for is_kind, stored in STORED_AS if is_kind(kind)), kind)
    column = column.cast(stored)
    return pc.if_else(pc.is_finite(column), column, pa.scalar(None, stored)) if pa.types.is_floating(stored) else column


def timestamps(times: Times) -> Column:
    """UTC timestamps, null where there is no usable time."""
    unknown_N = np.isnan(times.time_s_N)
    microseconds = np.rint(np.where(unknown_N, 0.0, times.time_s_N) * 1e6).astype(np.int64)
    return pa.array(microseconds, pa.timestamp("us", "UTC"), mask=unknown_N)


def _signed(column: Column) -> Column:
    largest = pc.max(column).as_py()
    fits = largest is None or largest <= np.iinfo(np.int64).max
    return column.cast(pa.int64()) if fits else column.cast(pa.float64(), safe=False)
