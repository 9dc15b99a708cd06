"""Columns of times in any of the accepted forms, as epoch seconds.

Accepted per value: epoch seconds (``1318896000``, ``1318896000.5``, ``1.3e9``) and ISO 8601 in its extended form
(``2011-10-18``, ``2011-10-18T07:30``, ``2011-10-18 07:30:05.25+02:00``); without a zone a time is UTC.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from unbraid_core.types import BoolArray, DoubleArray
from unbraid_training.data.columns import Column, as_text, doubles, equals, flags, is_text
from unbraid_training.data.report import Reason

__all__ = ["MISSING_TIME", "TIME_OUT_OF_RANGE", "UNPARSABLE_TIME", "Times", "parse_times"]

MISSING_TIME = Reason("missing time", "give every event a time")
UNPARSABLE_TIME = Reason("unparsable time", "write times as epoch seconds or ISO 8601, such as 2011-10-18T07:30:00Z")
TIME_OUT_OF_RANGE = Reason("time out of range", "write epoch times in seconds, not in milliseconds or smaller units")

SECONDS_FORM = r"^-?\d+(\.\d+)?([eE][+-]?\d+)?$"
ISO_FORM = (
    r"^(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})"
    r"(?:[Tt ](?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2}(?:\.\d+)?))?"
    r" ?(?:[Zz]|UTC|(?P<sign>[+-])(?P<zone_hour>\d{2}):?(?P<zone_minute>\d{2})?)?)?$"
)
# The years 1 to 9999: what datetime and google.protobuf.Timestamp can hold.
FIRST_TIME_S, END_TIME_S = -62_135_596_800.0, 253_402_300_800.0


@dataclass(frozen=True, slots=True, eq=False)
class Times:
    """Times of N rows.

    Attributes:
        time_s_N: epoch seconds, NaN where there is no usable value.
        missing_N: rows without a value.
        outside_N: rows whose value is a time outside the years 1 to 9999, as milliseconds read as seconds are.
    """

    time_s_N: DoubleArray
    missing_N: BoolArray
    outside_N: BoolArray

    @property
    def unparsable_N(self) -> BoolArray:
        """Rows whose value is no time in an accepted form."""
        return np.isnan(self.time_s_N) & ~self.missing_N & ~self.outside_N


def parse_times(column: Column) -> Times:
    """Parse a column of strings, numbers, timestamps or dates; in a column of another type nothing is parsable."""
    kind = column.type
    missing_N = flags(pc.is_null(column, nan_is_null=True))
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        microseconds = column.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False).cast(pa.int64())
        time_s_N = doubles(microseconds) / 1e6
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        time_s_N = doubles(column)
    elif is_text(kind):
        text = pc.utf8_trim_whitespace(as_text(column))
        missing_N = missing_N | equals(text, "")
        time_s_N = _parse_text(text)
    else:
        time_s_N = np.full(len(column), np.nan)
    outside_N: BoolArray = (time_s_N < FIRST_TIME_S) | (time_s_N >= END_TIME_S)
    return Times(np.where(outside_N, np.nan, time_s_N), missing_N, outside_N)


def _parse_text(text: pa.StringArray) -> DoubleArray:
    """Epoch seconds of each string, NaN where it has none of the accepted forms."""
    time_s_N: DoubleArray = np.full(len(text), np.nan)
    seconds_N = flags(pc.match_substring_regex(text, SECONDS_FORM))
    time_s_N[seconds_N] = doubles(text.filter(seconds_N).cast(pa.float64()))
    fields = pc.extract_regex(text.filter(~seconds_N), ISO_FORM)
    matched_M = flags(pc.is_valid(fields))
    time_s_N[np.flatnonzero(~seconds_N)[matched_M]] = _iso_seconds(fields.filter(matched_M))
    return time_s_N


def _iso_seconds(fields: pa.StructArray) -> DoubleArray:
    """Epoch seconds of dates and times taken apart, NaN where the calendar or the clock has no such value."""
    year, month, day = (_number(fields, name).astype(np.int64) for name in ("year", "month", "day"))
    hour, minute, second = (_number(fields, name) for name in ("hour", "minute", "second"))
    zone_hour, zone_minute = (_number(fields, name) for name in ("zone_hour", "zone_minute"))
    month_start = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    first_day = month_start.astype("datetime64[D]")
    day_count = ((month_start + 1).astype("datetime64[D]") - first_day).astype(np.int64)
    exists = (month >= 1) & (month <= 12) & (day >= 1) & (day <= day_count)
    exists &= (hour < 24) & (minute < 60) & (second < 60) & (zone_hour < 24) & (zone_minute < 60)
    east = np.where(equals(as_text(fields.field("sign")), "-"), -1.0, 1.0)
    days = first_day.astype(np.int64) + day - 1
    clock_s = hour * 3600 + minute * 60 + second
    offset_s = east * (zone_hour * 3600 + zone_minute * 60)
    return np.where(exists, days * 86400.0 + clock_s - offset_s, np.nan)


def _number(fields: pa.StructArray, name: str) -> DoubleArray:
    """A field of digits as numbers, 0 where the form has left it out."""
    digits = fields.field(name)
    return doubles(pc.if_else(pc.equal(digits, pa.scalar("")), "0", digits).cast(pa.float64()))
