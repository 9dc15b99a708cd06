"""Item neighbours: people who had this also had that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from unbraid_core.types import DoubleArray
from unbraid_training.baselines.profile import Weights, user_items
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
        seen_UI = user_items(train, counted=False)
        similarity_II = csr_array(seen_UI.T @ seen_UI)
        user_count_I = similarity_II.diagonal()
        row_N = np.repeat(np.arange(len(user_count_I)), np.diff(similarity_II.indptr))
        norm_N = np.sqrt(user_count_I[row_N] * user_count_I[similarity_II.indices])
        similarity_II.data /= norm_N + self.shrinkage
        similarity_II.setdiag(0.0)
        return _FittedItemKnn(_nearest(similarity_II, self.neighbour_count))


@dataclass(frozen=True, slots=True, eq=False)
class _FittedItemKnn:
    similarity_II: Weights  # a row an item, with its neighbours

    def score(self, profile_BI: Weights, /) -> DoubleArray:
        score_BI: DoubleArray = (profile_BI @ self.similarity_II.T).toarray()
        return score_BI


def _nearest(similarity_II: Weights, count: int) -> Weights:
    """Each row with its ``count`` largest entries only."""
    similarity_II.sort_indices()
    kept = []
    for start, stop in zip(similarity_II.indptr[:-1], similarity_II.indptr[1:], strict=True):
        kept.append(start + np.argsort(-similarity_II.data[start:stop], kind="stable")[:count])
    entry_N = np.concatenate(kept)
    row_N = np.repeat(np.arange(len(kept)), [len(entries) for entries in kept])
    return csr_array((similarity_II.data[entry_N], (row_N, similarity_II.indices[entry_N])), shape=similarity_II.shape)
