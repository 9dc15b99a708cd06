"""Diversity: maximal marginal relevance over item vectors and categories (Carbonell and Goldstein 1998).

Items are chosen one after the other. With d the diversity, the next one is the candidate with the largest

    (1 - d) * relevance_i - d * redundancy_i

    relevance_i  = 1 - log(1 + rank_i) / log(1 + C), ranks counting from 0 in the order of the scores of C candidates
    redundancy_i = the largest similarity to an item chosen before, not less than 0
    similarity   = (cosine of the item vectors + cosine of the category indicators) / 2; of the vectors alone in a
                   catalogue without categories

Both are numbers between 0 and 1 whatever the scale of a score is, so the same d means much the same under every
release and ranking profile; the logarithm holds on to the first ranks. Equal values go by rank: d = 0 is the order of
the scores, and with d = 1 scores decide between equally new items only.
"""

from __future__ import annotations

import numpy as np

from unbraid_core.categories import Categories
from unbraid_core.item_vectors import ItemVectors
from unbraid_core.types import FloatArray, IntArray

__all__ = ["diversify"]


def diversify(
    row_C: IntArray, diversity: float, limit: int, item_vectors_ID: ItemVectors, categories: Categories | None
) -> IntArray:
    """Choose and order the best ``limit`` candidates, as positions in ``row_C``: int64 [min(limit, C)].

    Args:
        row_C: distinct candidates in the order of their scores, best first.
        diversity: d, 0 to 1.
        limit: how many to choose.
        item_vectors_ID: unit vectors of the catalogue.
        categories: of the catalogue; None where no item has any.
    """
    count = min(limit, len(row_C))
    if diversity == 0.0:
        return np.arange(count)
    # Scaled beforehand, so that an inner product is d times a similarity.
    features_CF = _features(row_C, item_vectors_ID, categories) * np.float32(np.sqrt(diversity))
    relevance_C = _relevance(len(row_C)) * np.float32(1.0 - diversity)
    redundancy_C = np.zeros(len(row_C), np.float32)
    chosen_R = np.empty(count, np.int64)
    for rank in range(count):
        best = int(np.argmax(relevance_C - redundancy_C))
        chosen_R[rank] = best
        relevance_C[best] = -np.inf
        np.maximum(redundancy_C, features_CF @ features_CF[best], out=redundancy_C)
    return chosen_R


def _relevance(count: int) -> FloatArray:
    """Of each rank: float32 [C], from 1 down to almost 0."""
    relevance_C = 1.0 - np.log1p(np.arange(count)) / np.log1p(max(count, 1))
    rounded_C: FloatArray = relevance_C.astype(np.float32)
    return rounded_C


def _features(row_C: IntArray, item_vectors_ID: ItemVectors, categories: Categories | None) -> FloatArray:
    """Vectors whose inner products are the similarities: float32 [C, F]."""
    vectors_CD = item_vectors_ID[row_C]
    if categories is None:
        return vectors_CD
    both_CF: FloatArray = np.concatenate([vectors_CD, categories.unit_indicators(row_C)], axis=1)
    return both_CF * np.float32(np.sqrt(0.5))
