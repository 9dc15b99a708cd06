"""The port that every baseline fills: learn from a data set, then score the whole catalogue for any profile."""

from __future__ import annotations

from typing import Protocol

from unbraid_core.types import DoubleArray
from unbraid_training.baselines.profile import Weights
from unbraid_training.data.dataset import Dataset

__all__ = ["Baseline", "FittedBaseline"]


class FittedBaseline(Protocol):
    """A baseline that has learnt; it knows a user by a profile alone, so it serves users it never met."""

    def score(self, profile_BI: Weights, /) -> DoubleArray:
        """Scores of all items for B profiles, higher is better: float64 [B, I], a new array."""
        ...


class Baseline(Protocol):
    """The settings of a baseline: immutable, hashable, and equal where they fit alike. ``str`` names them."""

    def fit(self, train: Dataset, /) -> FittedBaseline:
        """Learn from training events. Equal events give equal scores."""
        ...
