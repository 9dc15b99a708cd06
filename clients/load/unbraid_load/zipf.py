"""Draws by rank: few are drawn often, many rarely."""

from __future__ import annotations

from itertools import accumulate
from random import Random

__all__ = ["Zipf"]


class Zipf:
    """Ranks from 0 to count - 1, rank r with a probability proportional to 1 / (r + 1) ** exponent.

    Args:
        count: how many ranks, at least one.
        exponent: 0 draws all alike; the larger, the more the first ones are drawn.
    """

    def __init__(self, count: int, exponent: float) -> None:
        self._ranks = range(count)
        self._cumulative = list(accumulate((rank + 1) ** -exponent for rank in self._ranks))

    def draw(self, rng: Random, count: int) -> list[int]:
        """That many ranks, independent of each other."""
        return rng.choices(self._ranks, cum_weights=self._cumulative, k=count)
