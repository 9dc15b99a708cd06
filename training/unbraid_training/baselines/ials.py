"""iALS: matrix factorisation for implicit feedback, with users folded in from their profiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from unbraid_core.types import DoubleArray
from unbraid_training.als import fit_als
from unbraid_training.baselines.profile import Weights
from unbraid_training.data.dataset import Dataset

__all__ = ["Ials"]

ITERATIONS = 15


@dataclass(frozen=True, slots=True)
class Ials:
    """Implicit-feedback alternating least squares (Hu, Koren and Volinsky 2008), by the library ``implicit``.

    An item that a user had r times has the preference 1 with the confidence alpha * r, any other the preference 0 with
    the confidence 1. A profile is folded in with its weights as r: its vector is the least squares solution given the
    item vectors.

    Attributes:
        factor_count: dimensions of the vectors.
        regularisation: of both sides.
        confidence: alpha, of a single event.
        seed: of the first vectors.
    """

    factor_count: int
    regularisation: float
    confidence: float
    seed: int

    def __str__(self) -> str:
        """A few words for a table."""
        return f"{self.factor_count} factors, regularisation {self.regularisation:g}, confidence {self.confidence:g}"

    def fit(self, train: Dataset, /) -> _FittedIals:
        """Factorise the counts of the training events."""
        als = fit_als(
            train,
            factor_count=self.factor_count,
            regularisation=self.regularisation,
            confidence=self.confidence,
            iterations=ITERATIONS,
            seed=self.seed,
        )
        return _FittedIals(als)


@dataclass(frozen=True, slots=True, eq=False)
class _FittedIals:
    als: AlternatingLeastSquares

    def score(self, profile_BI: Weights, /) -> DoubleArray:
        users = np.arange(profile_BI.shape[0])
        with threadpool_limits(1):
            vector_BD = self.als.recalculate_user(users, _single(profile_BI))
            score_BI: DoubleArray = (vector_BD @ self.als.item_factors.T).astype(np.float64)
        return score_BI


def _single(weights_BI: Weights) -> csr_matrix[np.float32]:
    """The kind of matrix that the library takes."""
    return csr_matrix(weights_BI.astype(np.float32))
