"""The ports that every baseline fills: learn from a data set, then score the whole catalogue for any user.

A baseline knows a user by a view of their history alone, so it serves users it never met. What the views are is its own
affair: rows of weights, or sequences of items.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from unbraid_core.types import DoubleArray, History
from unbraid_training.data.dataset import Dataset

__all__ = ["Baseline", "FittedBaseline", "StagedBaseline", "View"]

SeenT_co = TypeVar("SeenT_co", covariant=True)
SeenT_contra = TypeVar("SeenT_contra", contravariant=True)


class View(Protocol[SeenT_co]):
    """What a baseline sees of histories: immutable and hashable. ``str`` names it."""

    def of(self, histories: Sequence[History], now_s_B: DoubleArray, item_count: int, /) -> SeenT_co:
        """What is seen of B histories at the moments of their users."""
        ...


class FittedBaseline(Protocol[SeenT_contra]):
    """A baseline that has learnt."""

    def score(self, seen_B: SeenT_contra, /) -> DoubleArray:
        """Scores of all items for B users, higher is better: float64 [B, I], a new array."""
        ...


class Baseline(Protocol[SeenT_contra]):
    """The settings of a baseline: immutable, hashable, and equal where they fit alike. ``str`` names them."""

    def fit(self, train: Dataset, /) -> FittedBaseline[SeenT_contra]:
        """Learn from training events. Equal events give equal scores."""
        ...


@runtime_checkable
class StagedBaseline(Baseline[SeenT_contra], Protocol[SeenT_contra]):
    """A baseline that learns in stages, any of which may be the best one to stop at."""

    @property
    def stage_count(self) -> int:
        """How many stages there are at most."""
        ...

    def stages(self, train: Dataset, /) -> Iterator[tuple[Baseline[SeenT_contra], FittedBaseline[SeenT_contra]]]:
        """After each stage: the settings that stop there, and what they have learnt, which the next stage changes."""
        ...
