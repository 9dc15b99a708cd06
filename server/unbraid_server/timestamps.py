"""Times and durations between protobuf and epoch seconds.

A float64 of epoch seconds resolves less than a microsecond today, so microseconds are what is sent.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from unbraid_core.errors import InvalidInput
from unbraid_core.types import DoubleArray, IntArray

__all__ = ["NANOS", "all_are_times", "duration", "epoch_seconds", "seconds_and_nanos", "timestamp"]

FIRST_SECOND = -62_135_596_800  # 0001-01-01T00:00:00Z
LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z
NANOS = 1_000_000_000
MICROS = 1_000_000


def epoch_seconds(time: Timestamp, field: str, *position: int) -> float:
    """Epoch seconds of a timestamp that a caller sent.

    Args:
        time: the timestamp.
        field: its path, for the message, with ``{}`` where the position goes.
        position: where it stands in a list; the path is put together only when it is needed.

    Raises:
        InvalidInput: outside the years 1 to 9999, or nanos outside 0 to 999,999,999.
    """
    seconds, nanos = time.seconds, time.nanos
    if not FIRST_SECOND <= seconds <= LAST_SECOND:
        path = f"{field.format(*position)}.seconds"
        raise InvalidInput(path, f"{seconds} is outside the years 1 to 9999; send epoch seconds")
    if not 0 <= nanos < NANOS:
        raise InvalidInput(f"{field.format(*position)}.nanos", f"{nanos} is outside 0 to 999999999")
    return seconds + nanos / NANOS


def all_are_times(seconds: Sequence[int], nanos: Sequence[int]) -> bool:
    """Whether ``epoch_seconds`` takes all of these timestamps; at least one."""
    return min(seconds) >= FIRST_SECOND and max(seconds) <= LAST_SECOND and min(nanos) >= 0 and max(nanos) < NANOS


def timestamp(time_s: float) -> Timestamp:
    """The timestamp of epoch seconds, to the microsecond."""
    seconds, micros = _split(time_s)
    return Timestamp(seconds=seconds, nanos=micros * 1000)


def seconds_and_nanos(time_s_N: DoubleArray) -> tuple[IntArray, IntArray]:
    """Both fields of the ``timestamp`` of each of these epoch seconds."""
    seconds_N, micros_N = np.divmod(np.rint(time_s_N * MICROS).astype(np.int64), MICROS)
    return seconds_N, micros_N * 1000


def duration(span_s: float) -> Duration:
    """The duration of a positive number of seconds, to the microsecond."""
    seconds, micros = _split(span_s)
    return Duration(seconds=seconds, nanos=micros * 1000)


def _split(value_s: float) -> tuple[int, int]:
    return divmod(round(value_s * MICROS), MICROS)
