"""Intra-list diversity: how little the items of one recommendation list are alike (Ziegler et al. 2005).

    diversity@50 = mean over all pairs of items within the first 50 ranks of 1 - cosine

With unit vectors v the sum of all cosines is (|sum v|^2 - sum |v|^2) / 2, so no pair is ever formed.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from unbraid_core.types import DoubleArray, IntArray
from unbraid_training.evaluation.item_space import ItemSpace
from unbraid_training.evaluation.metrics import COVERAGE_CUTOFF

__all__ = ["intra_list_diversity"]


def intra_list_diversity(row_HR: IntArray, space: ItemSpace) -> DoubleArray:
    """The diversity@50 of every list: float64 [H]; 0 for a list of fewer than two items.

    Args:
        row_HR: rankings [H, R], best first, -1 after the end of a short one.
        space: to compare the items in.
    """
    top_HR = row_HR[:, :COVERAGE_CUTOFF]
    user_N, rank_N = np.nonzero(top_HR >= 0)
    item_count = space.vectors_IF.shape[0]
    member_HI = sparse.csr_array(
        (np.ones(len(user_N)), (user_N, top_HR[user_N, rank_N])), shape=(len(row_HR), item_count)
    )
    sum_HF = member_HI @ space.vectors_IF
    own_I = space.vectors_IF.power(2).sum(axis=1)
    twice_cosine_H = sum_HF.power(2).sum(axis=1) - member_HI @ own_I
    count_H = (top_HR >= 0).sum(axis=1)
    pair_count_H = np.maximum(count_H * (count_H - 1), 1)
    diversity_H: DoubleArray = np.where(count_H > 1, 1.0 - twice_cosine_H / pair_count_H, 0.0)
    return diversity_H
