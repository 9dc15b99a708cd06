"""EASE: a linear model from items to items, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import inv

from unbraid_core.types import DoubleArray
from unbraid_training.baselines.profile import Weights, user_items
from unbraid_training.data.dataset import Dataset

__all__ = ["Ease"]


@dataclass(frozen=True, slots=True)
class Ease:
    """Embarrassingly shallow autoencoder (Steck 2019).

    With X the binary user-item matrix and P = (X'X + lambda 1)^-1, the score of a profile p is p B, where
    B_ij = -P_ij / P_jj off the diagonal and 0 on it: the ridge regression of every item on all others. Fitting holds
    two [I, I] matrices and takes O(I^3).

    Attributes:
        regularisation: lambda, positive.
    """

    regularisation: float

    def __str__(self) -> str:
        """A few words for a table."""
        return f"lambda {self.regularisation:g}"

    def fit(self, train: Dataset, /) -> _FittedEase:
        """Invert the Gram matrix of the items."""
        seen_UI = user_items(train, counted=False)
        gram_II: DoubleArray = (seen_UI.T @ seen_UI).toarray()
        gram_II[np.diag_indices_from(gram_II)] += self.regularisation
        weight_II: DoubleArray = inv(gram_II, assume_a="pos", overwrite_a=True, check_finite=False)
        weight_II /= -weight_II.diagonal()
        np.fill_diagonal(weight_II, 0.0)
        return _FittedEase(weight_II)


@dataclass(frozen=True, slots=True, eq=False)
class _FittedEase:
    weight_II: DoubleArray

    def score(self, profile_BI: Weights, /) -> DoubleArray:
        score_BI: DoubleArray = np.asarray(profile_BI @ self.weight_II)
        return score_BI
