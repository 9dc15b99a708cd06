"""Filters and calls that the ways of searching among allowed rows are measured with."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.types import BoolArray, FloatArray
from unbraid_index.progress import OnProgress
from unbraid_index.scan import scan

__all__ = ["LEAST_SHARE", "FilterCase", "FilterCases", "median_ns"]

LEAST_CALLS = 10
MOST_CALLS = 24
OWN_FILTERS = 8
LEAST_SHARE = 1 / 12
"""Of the rows; no measured filter allows fewer."""
SHARES = (0.5, 0.2, LEAST_SHARE)
AT_RANDOM = "{} at random"
BLOCK = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class FilterCase:
    """A filter, some calls, and the lowest of the exact scores of their queries among the rows that it allows."""

    allowed_I: BoolArray
    query_BQD: FloatArray
    lowest_score_BQ: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class FilterCases:
    """Filters that allow 50%, 20% or a twelfth of the rows.

    They allow them at random, or those nearest to or farthest from an item or a query.

    Attributes:
        kinds: cases by the kind of their filter.
        count: how many rows a query wants.
        wide: half of the rows, at random.
    """

    kinds: Mapping[str, Sequence[FilterCase]]
    count: int
    wide: FilterCase

    @classmethod
    def of(
        cls,
        item_vectors_ID: ItemVectors,
        query_QD: FloatArray,
        *,
        queries_per_call: int,
        count: int,
        seed: int,
        on_progress: OnProgress,
    ) -> Self | None:
        """Over a catalogue; None where there are too few queries for 10 calls.

        Args:
            item_vectors_ID: of the catalogue.
            query_QD: unit vectors; those of 24 calls are used at most.
            queries_per_call: how many queries a call searches at once.
            count: how many rows a query wants.
            seed: of the filters.
            on_progress: told about every filter.
        """
        call_count = min(len(query_QD) // queries_per_call, MOST_CALLS)
        if call_count < LEAST_CALLS:
            return None
        query_BQD = query_QD[: call_count * queries_per_call].reshape(call_count, queries_per_call, -1)
        kinds: dict[str, list[FilterCase]] = {}
        for done, (kind, allowed_I, calls) in enumerate(_filters(item_vectors_ID, query_BQD, seed), 1):
            row_A = np.flatnonzero(allowed_I)
            lowest_BQ = [scan(item_vectors_ID, row_A, query_QD, count)[1][:, -1] for query_QD in query_BQD[calls]]
            kinds.setdefault(kind, []).append(FilterCase(allowed_I, query_BQD[calls], np.array(lowest_BQ)))
            on_progress("measuring filters", done, len(SHARES) * (3 + 2 * OWN_FILTERS))
        [wide] = kinds[AT_RANDOM.format(SHARES[0])]
        return cls(kinds, count, wide)


def median_ns(count: int, step: Callable[[int], object]) -> float:
    """Of the time that the thread was at work: on a busy machine the clock goes on while it waits for its turn."""
    elapsed_ns = []
    for number in range(count):
        started_ns = time.thread_time_ns()
        step(number)
        elapsed_ns.append(time.thread_time_ns() - started_ns)
    return statistics.median(elapsed_ns)


def _filters(item_vectors_ID: ItemVectors, query_BQD: FloatArray, seed: int) -> Iterator[tuple[str, BoolArray, slice]]:
    """Kind, allowed rows, and the calls to make with them; of those around a query only its own."""
    rng = np.random.default_rng(seed)
    item_D = item_vectors_ID[rng.integers(len(item_vectors_ID), size=1)][0]
    for share in SHARES:
        yield AT_RANDOM.format(share), rng.random(len(item_vectors_ID)) < share, slice(None)
        for kind, allowed_I in _around(item_vectors_ID, item_D, share):
            yield f"{kind} an item", allowed_I, slice(None)
        for call, query_QD in enumerate(query_BQD[:OWN_FILTERS]):
            for kind, allowed_I in _around(item_vectors_ID, query_QD[0], share):
                yield f"{kind} a query", allowed_I, slice(call, call + 1)


def _around(item_vectors_ID: ItemVectors, vector_D: FloatArray, share: float) -> Iterator[tuple[str, BoolArray]]:
    """In blocks, so that compact vectors are never widened as a whole."""
    starts = range(0, len(item_vectors_ID), BLOCK)
    nearness_I = np.concatenate([item_vectors_ID[start : start + BLOCK] @ vector_D for start in starts])
    yield f"{share} near", nearness_I >= np.quantile(nearness_I, 1.0 - share)
    yield f"{share} far from", nearness_I <= np.quantile(nearness_I, share)
