"""Balance: places in a list that every interest is sure of (after Steck 2018, calibrated recommendations).

The strongest interest takes more than its share of the first places, because what it speaks for also leads the others
in popularity. With b the balance, an interest k is guaranteed floor(b * limit * share_k) of the places, as far as it
speaks for so many candidates; the other places go to the best of what is left. The items of the list keep the order of
their scores.
"""

from __future__ import annotations

import numpy as np

from unbraid_core.types import BoolArray, DoubleArray, IntArray

__all__ = ["balanced"]


def balanced(interest_C: IntArray, log_share_K: DoubleArray, balance: float, limit: int) -> IntArray:
    """The order of the candidates in which the first ``limit`` are the balanced list: int64 [C], a permutation.

    Args:
        interest_C: the interest that speaks for each candidate, best candidate first.
        log_share_K: of the interests.
        balance: b, 0 to 1; 0 leaves the order as it is.
        limit: length of the list.
    """
    # A whole number of places stays one when it is computed with shares that sum to 1 but for rounding.
    place_K = np.floor(balance * limit * np.exp(log_share_K) + 1e-9)
    sure_C = _nth(interest_C) < place_K[interest_C]
    free = max(limit - int(sure_C.sum()), 0)
    listed_C: BoolArray = sure_C | (np.cumsum(~sure_C) <= free)
    order_C: IntArray = np.argsort(~listed_C, kind="stable")
    return order_C


def _nth(interest_C: IntArray) -> IntArray:
    """How many candidates of the same interest come before each."""
    together_C = np.argsort(interest_C, kind="stable")
    sorted_C = interest_C[together_C]
    nth_C = np.empty(len(interest_C), np.int64)
    nth_C[together_C] = np.arange(len(interest_C)) - np.searchsorted(sorted_C, sorted_C)
    return nth_C
