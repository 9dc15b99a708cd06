"""Personal frequency: people come back for what they had often."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unbraid_core.types import DoubleArray
from unbraid_training.baselines.profile import Weights
from unbraid_training.config import DAY_S
from unbraid_training.data.dataset import Dataset
from unbraid_training.item_statistics import log_popularity

__all__ = ["OwnFrequency"]

# Less than any weight of an event that is younger than 20 half-lives: popularity orders what the user leaves equal.
POPULARITY_SCALE = 2.0**-20


@dataclass(frozen=True, slots=True)
class OwnFrequency:
    """An item scores its weight in the profile; equal ones, and those never had, are ordered by decayed popularity.

    Attributes:
        popularity_half_life_s: of that order.
    """

    popularity_half_life_s: float = 30 * DAY_S

    def __str__(self) -> str:
        """A few words for a table."""
        return f"then popularity, half-life {self.popularity_half_life_s / DAY_S:g} d"

    def fit(self, train: Dataset, /) -> _FittedOwnFrequency:
        """Count the popularity."""
        return _FittedOwnFrequency(np.exp(log_popularity(train, self.popularity_half_life_s).astype(np.float64)))


@dataclass(frozen=True, slots=True, eq=False)
class _FittedOwnFrequency:
    share_I: DoubleArray

    def score(self, profile_BI: Weights, /) -> DoubleArray:
        score_BI: DoubleArray = profile_BI.toarray() + POPULARITY_SCALE * self.share_I
        return score_BI
