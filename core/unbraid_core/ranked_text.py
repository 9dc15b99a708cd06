"""Strings as numbers: the ranks of distinct values, and pairs of them.

Nothing here makes Python strings or holds the interpreter for long, so a server goes on answering while it arranges a
large catalogue.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from unbraid_core.types import IntArray

__all__ = ["distinct_pairs", "ranked"]


def ranked(value_N: pa.Array[Any]) -> tuple[pa.Array[Any], IntArray]:
    """The V distinct values in alphabetical order, by code points, and which of them each value is: int64 [N]."""
    encoded = value_N.dictionary_encode()
    order_V = pc.array_sort_indices(encoded.dictionary)
    rank_V = np.empty(len(order_V), np.int64)
    rank_V[order_V.to_numpy()] = np.arange(len(order_V))
    return encoded.dictionary.take(order_V), rank_V[encoded.indices.to_numpy()]


def distinct_pairs(first_N: IntArray, second_N: IntArray, second_count: int) -> tuple[IntArray, IntArray]:
    """Pairs of numbers by the first, then by the second, each pair once.

    ``numpy.unique`` hashes, which took minutes for millions of pairs, and lets no other thread run meanwhile.

    Args:
        first_N: not negative.
        second_N: from 0 to ``second_count`` - 1.
        second_count: how many second numbers there may be.
    """
    pair_N = np.sort(first_N * second_count + second_N)
    pair_N = pair_N[np.diff(pair_N, prepend=-1) > 0]
    return np.divmod(pair_N, max(second_count, 1))
