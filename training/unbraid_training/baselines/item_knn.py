"""Item neighbours: people who had this also had that."""

from __future__ import annotations

from dataclasses import dataclass

from unbraid_core.types import DoubleArray
from unbraid_training.baselines.profile import Weights
from unbraid_training.co_occurrence import common_users, nearest, shrunk_cosines
from unbraid_training.data.dataset import Dataset

__all__ = ["ItemKnn"]


@dataclass(frozen=True, slots=True)
class ItemKnn:
    """Item-based nearest neighbours by shrunk cosine (Deshpande and Karypis 2004).

    With c_ij the users of both items and c_i those of one, s_ij = c_ij / (sqrt(c_i c_j) + shrinkage). An item scores
    the sum of s_ij times the profile weight over its most similar neighbours j; it is no neighbour of itself.

    Attributes:
        shrinkage: not negative; takes weight from similarities that few users speak for.
        neighbour_count: of each item, at least 1; among equally similar ones the first in the catalogue count.
    """

    shrinkage: float
    neighbour_count: int = 100

    def __str__(self) -> str:
        """A few words for a table."""
        return f"shrinkage {self.shrinkage:g}, {self.neighbour_count} neighbours"

    def fit(self, train: Dataset, /) -> _FittedItemKnn:
        """Count common users and keep the nearest items of every item."""
        return _FittedItemKnn(nearest(shrunk_cosines(common_users(train), self.shrinkage), self.neighbour_count))


@dataclass(frozen=True, slots=True, eq=False)
class _FittedItemKnn:
    similarity_II: Weights  # a row an item, with its neighbours

    def score(self, profile_BI: Weights, /) -> DoubleArray:
        score_BI: DoubleArray = (profile_BI @ self.similarity_II.T).toarray()
        return score_BI
