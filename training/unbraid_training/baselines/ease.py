"""EASE: a linear model from items to items, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unbraid_core.types import DoubleArray
from unbraid_training.baselines.profile import Weights
from unbraid_training.co_occurrence import common_users, ease_weights
from unbraid_training.data.dataset import Dataset

__all__ = ["Ease"]


@dataclass(frozen=True, slots=True)
class Ease:
    """Embarrassingly shallow autoencoder (Steck 2019).

    The score of a profile p is p B with the weights B of ``ease_weights``.

    Attributes:
        regularisation: lambda, positive.
    """

    regularisation: float

    def __str__(self) -> str:
        """A few words for a table."""
        return f"lambda {self.regularisation:g}"

    def fit(self, train: Dataset, /) -> _FittedEase:
        """Invert the Gram matrix of the items."""
        return _FittedEase(ease_weights(common_users(train), self.regularisation))


@dataclass(frozen=True, slots=True, eq=False)
class _FittedEase:
    weight_II: DoubleArray

    def score(self, profile_BI: Weights, /) -> DoubleArray:
        score_BI: DoubleArray = np.asarray(profile_BI @ self.weight_II)
        return score_BI
