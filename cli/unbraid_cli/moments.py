"""How moments look on a terminal."""

from __future__ import annotations

from datetime import datetime

__all__ = ["minute"]


def minute(time: datetime) -> str:
    """A moment to the minute."""
    return time.strftime("%Y-%m-%d %H:%M")
