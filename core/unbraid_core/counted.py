"""Numbers of things in sentences."""

from __future__ import annotations

__all__ = ["counted"]


def counted(count: int, one: str, many: str = "") -> str:
    """So many of something: ``1 item``, ``2,500 items``; ``many`` is its plural where that is not ``one`` with an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
