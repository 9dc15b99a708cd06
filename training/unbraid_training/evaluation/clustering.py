"""How well two groupings of the same things agree."""

from __future__ import annotations

import numpy as np

from unbraid_core.types import DoubleArray, IntArray

__all__ = ["agreement", "normalised_mutual_information"]


def normalised_mutual_information(first_N: IntArray, second_N: IntArray) -> float:
    """Mutual information over the mean of the two entropies, from 0 (independent) to 1 (equal up to names).

    NMI(A, B) = 2 I(A; B) / (H(A) + H(B)); 1 where both groupings are a single group (Danon et al. 2005).

    Args:
        first_N: group of each thing, not negative.
        second_N: likewise.
    """
    joint_GH = np.zeros((int(first_N.max()) + 1, int(second_N.max()) + 1))
    np.add.at(joint_GH, (first_N, second_N), 1.0 / len(first_N))
    return agreement(joint_GH)


def agreement(joint_GH: DoubleArray) -> float:
    """The normalised mutual information of two groupings, given which share of all things each pair of groups has."""
    first_entropy, second_entropy = _entropy(joint_GH.sum(axis=1)), _entropy(joint_GH.sum(axis=0))
    if first_entropy + second_entropy == 0.0:
        return 1.0
    information = first_entropy + second_entropy - _entropy(joint_GH.ravel())
    return 2.0 * information / (first_entropy + second_entropy)


def _entropy(share_G: DoubleArray) -> float:
    positive_G = share_G[share_G > 0]
    return float(-(positive_G * np.log(positive_G)).sum())
