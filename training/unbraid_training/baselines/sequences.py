"""Histories as sequences of items, and what came after each of their events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from unbraid_core.types import DoubleArray, History, IntArray
from unbraid_training.data.dataset import Dataset

__all__ = ["NO_ITEM", "LatestItems", "SequenceExamples", "Target"]

NO_ITEM = -1
# Later items drawn after each moment.
LATER_COUNT = 16


class Target(StrEnum):
    """What a network has to predict.

    NEXT is the next item, after each event. LATER are random items of all later moments, after each moment: the events
    of one moment are a basket, whose order says nothing.
    """

    NEXT = "next item"
    LATER = "later items"


@dataclass(frozen=True, slots=True)
class LatestItems:
    """The rows of the newest ``count`` events, oldest first."""

    count: int

    def __str__(self) -> str:
        """A few words for a table."""
        return f"last {self.count} items"

    def of(self, histories: Sequence[History], _now_s_B: DoubleArray, _item_count: int, /) -> IntArray:
        """Sequences of B histories: int64 [B, count], right-padded with NO_ITEM."""
        row_BL = np.full((len(histories), self.count), NO_ITEM)
        for row_L, history in zip(row_BL, histories, strict=True):
            latest_N = history.row_N[-self.count :]
            row_L[: len(latest_N)] = latest_N
        return row_BL


class SequenceExamples:
    """Parts the histories of a data set into sequences of at most ``length`` events, elsewhere in every epoch.

    Args:
        train: training events.
        length: L.
        target: what has to be predicted.
    """

    def __init__(self, train: Dataset, length: int, target: Target) -> None:
        self._row_E1 = np.append(train.row_E, NO_ITEM)
        self._length = length
        self._place_E: IntArray = np.arange(len(train)) - train.offset_U1[train.user_E]
        self._end_E = train.offset_U1[train.user_E + 1]
        self._after_E = np.arange(1, len(train) + 1)
        if target is Target.NEXT:
            self._reach_ET = (self._after_E < self._end_E).astype(np.int64)[:, None]
        else:
            first_E = (self._place_E == 0) | (np.diff(train.time_s_E, prepend=-np.inf) != 0)
            left_E = np.where(np.append(first_E[1:], True), self._end_E - self._after_E, 0)
            self._reach_ET = left_E[:, None].repeat(LATER_COUNT, axis=1)

    def epoch(self, rng: np.random.Generator, batch_size: int) -> Iterator[tuple[IntArray, IntArray]]:
        """Batches of sequences in random order, and what comes after their events.

        Yields:
            Rows [B, L], right-padded, and rows of T targets [B, L, T]; NO_ITEM where there is none. int64 both.
        """
        target_ET = self._draw_targets(rng)
        # Events left until the sequence that an event lies in is cut.
        left_E = self._length - (self._place_E + rng.integers(self._length)) % self._length
        start_C = rng.permutation(np.flatnonzero((self._place_E == 0) | (left_E == self._length)))
        for first in range(0, len(start_C), batch_size):
            start_B = start_C[first : first + batch_size]
            stop_B = np.minimum(start_B + left_E[start_B], self._end_E[start_B])
            event_BL = start_B[:, None] + np.arange((stop_B - start_B).max())
            event_BL[event_BL >= stop_B[:, None]] = len(left_E)
            yield self._row_E1[event_BL], target_ET[event_BL]

    def _draw_targets(self, rng: np.random.Generator) -> IntArray:
        drawn_ET = self._after_E[:, None] + (rng.random(self._reach_ET.shape) * self._reach_ET).astype(np.int64)
        target_ET = np.where(self._reach_ET > 0, self._row_E1[drawn_ET], NO_ITEM)
        return np.append(target_ET, np.full_like(target_ET[:1], NO_ITEM), axis=0)
