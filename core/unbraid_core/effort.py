"""What is left out of an answer that may take less effort.

The more alive half of the interests brings most of what all of them bring, for half of the search; and where each
candidate costs much, as in profile ``learned``, the best third of every source holds most of what would come first.
``benchmarks/effort.py`` measures both for a release.
"""

from __future__ import annotations

import math

import numpy as np

from unbraid_core.types import DoubleArray, IntArray

__all__ = ["reduced_depth", "searched_interests"]

SEARCHED_SHARE = 1 / 2
DEPTH_SHARE = 1 / 3


def searched_interests(log_share_K: DoubleArray, quota_K: IntArray, limit: int) -> IntArray:
    """The interests that are searched for with reduced effort: the more alive half, in the order of all.

    They are more than half where less could not bring ``limit`` candidates.
    """
    alive_K = np.argsort(-log_share_K, kind="stable")
    enough = int(np.searchsorted(np.cumsum(quota_K[alive_K]), limit)) + 1
    return np.sort(alive_K[: max(math.ceil(SEARCHED_SHARE * len(alive_K)), enough)])


def reduced_depth(depth: int, limit: int) -> int:
    """How many candidates each source brings with reduced effort: a third, and no less than a list needs."""
    return min(depth, max(math.ceil(DEPTH_SHARE * depth), limit))
