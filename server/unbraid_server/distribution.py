"""Values counted in buckets."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Distribution", "Histogram", "added_up"]


@dataclass(frozen=True, slots=True)
class Histogram:
    """What was counted up to some moment.

    Attributes:
        bounds: upper bounds of all buckets but the last, which has none; a value on a bound counts below it.
        counts: values in each bucket, one more than bounds.
        total: sum of all values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


def added_up(bounds: tuple[float, ...], histograms: Iterable[Histogram]) -> Histogram:
    """All values of several histograms over the same bounds."""
    found = tuple(histograms)
    counts = (sum(column) for column in zip([0] * (len(bounds) + 1), *(each.counts for each in found), strict=True))
    return Histogram(bounds, tuple(counts), sum(each.total for each in found))


class Distribution:
    """Counts values.

    Args:
        bounds: upper bounds of the buckets, rising.
    """

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def histogram(self) -> Histogram:
        """What was counted so far."""
        return Histogram(self._bounds, tuple(self._counts), self._total)
