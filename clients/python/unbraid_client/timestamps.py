"""Moments to timestamps."""

from __future__ import annotations

import math
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from unbraid_client.arguments import wrong_type
from unbraid_client.types import Moment

__all__ = ["timestamp_of"]

NANOS_PER_SECOND = 1_000_000_000


def timestamp_of(moment: Moment, field: str) -> Timestamp:
    """The timestamp of a moment, to the nanosecond.

    Raises:
        ValueError: without a time zone, or outside the years 1 to 9999; ``field`` names it.
        TypeError: neither of the two that a moment can be.
    """
    timestamp = Timestamp()
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ValueError(f"{field}: {moment.isoformat()} has no time zone; add one, for example tzinfo=UTC")
        timestamp.FromDatetime(moment)
        return timestamp
    try:
        seconds = math.floor(moment)
        timestamp.FromNanoseconds(seconds * NANOS_PER_SECOND + round((moment - seconds) * NANOS_PER_SECOND))
    except TypeError:
        raise wrong_type(field, moment, "a datetime with a time zone, or epoch seconds as a float") from None
    except (ValueError, OverflowError):
        raise ValueError(f"{field}: {moment} is not a time in epoch seconds between the years 1 and 9999") from None
    return timestamp
