"""User neighbours: what people like this one had lately."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, diags_array

from unbraid_core.types import DoubleArray
from unbraid_training.baselines.profile import Profile, Weights
from unbraid_training.config import DAY_S
from unbraid_training.data.dataset import Dataset

__all__ = ["UserKnn"]

SMALLEST_NORM = 1e-300


@dataclass(frozen=True, slots=True)
class UserKnn:
    """Nearest users by the cosine of decayed counts, blended with the user's own (after TIFU-KNN, Hu et al. 2020).

    With v_u the unit vector of a user's decayed counts and w_n the cosine between user and neighbour n, the score is
    own_share * v_u + (1 - own_share) * sum_n w_n v_n / sum_n w_n. Unit vectors do not depend on the moment, since
    all weights of a user fade by the same factor.

    Attributes:
        neighbour_count: at least 1. A user of the training data is one of their own neighbours.
        own_share: from 0 to 1.
        half_life_s: of the counts of the neighbours; profiles to score should have the same.
    """

    neighbour_count: int
    own_share: float
    half_life_s: float

    def __str__(self) -> str:
        """A few words for a table."""
        return (
            f"{self.neighbour_count} neighbours, half-life {self.half_life_s / DAY_S:g} d, own share {self.own_share:g}"
        )

    def fit(self, train: Dataset, /) -> _FittedUserKnn:
        """Remember the unit vectors of all users."""
        histories = [train.history(user) for user in range(len(train.user_ids))]
        now_s_U = np.full(len(histories), train.time_s_E.max())
        counts_UI = Profile(counted=True, half_life_s=self.half_life_s).of(histories, now_s_U, len(train.catalogue))
        return _FittedUserKnn(_unit(counts_UI), min(self.neighbour_count, len(histories)), self.own_share)


@dataclass(frozen=True, slots=True, eq=False)
class _FittedUserKnn:
    unit_UI: Weights
    neighbour_count: int
    own_share: float

    def score(self, profile_BI: Weights, /) -> DoubleArray:
        unit_BI = _unit(profile_BI)
        neighbours_BU = self._neighbours((unit_BI @ self.unit_UI.T).toarray())
        score_BI: DoubleArray = (
            self.own_share * unit_BI + (1 - self.own_share) * neighbours_BU @ self.unit_UI
        ).toarray()
        return score_BI

    def _neighbours(self, cosine_BU: DoubleArray) -> Weights:
        """The shares of the nearest users, which sum to 1 in each row."""
        near_BK = np.argpartition(-cosine_BU, self.neighbour_count - 1, axis=1)[:, : self.neighbour_count]
        share_BK = np.take_along_axis(cosine_BU, near_BK, axis=1)
        share_BK /= np.maximum(share_BK.sum(axis=1, keepdims=True), SMALLEST_NORM)
        row_N = np.repeat(np.arange(len(cosine_BU)), self.neighbour_count)
        return csr_array((share_BK.ravel(), (row_N, near_BK.ravel())), shape=cosine_BU.shape)


def _unit(weights_BI: Weights) -> Weights:
    """Rows of length 1; an empty row stays empty."""
    norm_B = np.sqrt(weights_BI.multiply(weights_BI).sum(axis=1))
    return csr_array(diags_array(1.0 / np.maximum(norm_B, SMALLEST_NORM)) @ weights_BI)
