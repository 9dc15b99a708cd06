"""How strongly one item speaks for another, from how many users have both."""

from __future__ import annotations

import numpy as np
from scipy.linalg import inv
from scipy.sparse import csr_array

from unbraid_core.types import DoubleArray
from unbraid_training.baselines.profile import Weights, user_items
from unbraid_training.data.dataset import Dataset

__all__ = ["common_users", "ease_weights", "nearest", "shrunk_cosines"]


def common_users(train: Dataset) -> Weights:
    """How many users have both of two items, and on the diagonal how many have one: [I, I]."""
    seen_UI = user_items(train, counted=False)
    common_II: Weights = csr_array(seen_UI.T @ seen_UI)
    return common_II


def ease_weights(common_II: Weights, regularisation: float) -> DoubleArray:
    """The weights of EASE (Steck 2019): dense [I, I], from the item of the row to that of the column.

    With G the counts of ``common_users`` and P = (G + lambda 1)^-1: -P_ij / P_jj off the diagonal and 0 on it, the
    ridge regression of every item on all others. Holds two dense matrices and takes O(I^3).
    """
    weight_II: DoubleArray = common_II.toarray()
    weight_II[np.diag_indices_from(weight_II)] += regularisation
    weight_II = inv(weight_II, assume_a="pos", overwrite_a=True, check_finite=False)
    weight_II /= -weight_II.diagonal()
    np.fill_diagonal(weight_II, 0.0)
    return weight_II


def shrunk_cosines(common_II: Weights, shrinkage: float) -> Weights:
    """Similarities c_ij / (sqrt(c_i c_j) + shrinkage), 0 on the diagonal (Deshpande and Karypis 2004): [I, I]."""
    similarity_II = common_II.copy()
    user_count_I = similarity_II.diagonal()
    row_N = np.repeat(np.arange(len(user_count_I)), np.diff(similarity_II.indptr))
    norm_N = np.sqrt(user_count_I[row_N] * user_count_I[similarity_II.indices])
    similarity_II.data /= norm_N + shrinkage
    similarity_II.setdiag(0.0)
    return similarity_II


def nearest(similarity_II: Weights, count: int) -> Weights:
    """Each row with its ``count`` largest entries only, the first in the catalogue among equal ones."""
    similarity_II.sort_indices()
    kept = []
    for start, stop in zip(similarity_II.indptr[:-1], similarity_II.indptr[1:], strict=True):
        kept.append(start + np.argsort(-similarity_II.data[start:stop], kind="stable")[:count])
    entry_N = np.concatenate(kept)
    row_N = np.repeat(np.arange(len(kept)), [len(entries) for entries in kept])
    return csr_array((similarity_II.data[entry_N], (row_N, similarity_II.indices[entry_N])), shape=similarity_II.shape)
