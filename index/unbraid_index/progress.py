"""How long work tells where it is, without knowing who watches."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["OnProgress", "unwatched"]

OnProgress = Callable[[str, int, int], None]
"""Called with the step in words, how much of it is done, and how much there is."""


def unwatched(step: str, done: int, total: int) -> None:
    """Nobody watches."""
