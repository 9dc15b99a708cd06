"""What a history says about every item: one sparse row of weights, which is all that most baselines see of a user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.sparse import csr_array

from unbraid_core.decay import log_survival
from unbraid_core.types import DoubleArray, History, IntArray
from unbraid_training.config import DAY_S
from unbraid_training.data.dataset import Dataset

__all__ = ["Profile", "Weights", "user_items"]

Weights: TypeAlias = "csr_array[np.float64, tuple[int, int]]"


@dataclass(frozen=True, slots=True)
class Profile:
    """How a history becomes weights.

    Attributes:
        counted: an item weighs as much as all its events together; otherwise as much as its newest one.
        half_life_s: an event of age d weighs 2^(-d / half_life); None: every event weighs 1.
    """

    counted: bool
    half_life_s: float | None = None

    def __str__(self) -> str:
        """A few words for a table."""
        what = "counts" if self.counted else "binary" if self.half_life_s is None else "newest event"
        return what if self.half_life_s is None else f"{what}, half-life {self.half_life_s / DAY_S:g} d"

    def of(self, histories: Sequence[History], now_s_B: DoubleArray, item_count: int, /) -> Weights:
        """The weights of B histories at the moments of their users: [B, I]."""
        row_N = np.concatenate([history.row_N for history in histories])
        time_s_N = np.concatenate([history.time_s_N for history in histories])
        user_N = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
        weight_N = np.ones(len(row_N))
        if self.half_life_s is not None:
            weight_N = np.exp(log_survival(now_s_B[user_N] - time_s_N, self.half_life_s))
        if not self.counted:
            kept = _newest(user_N * item_count + row_N)
            user_N, row_N, weight_N = user_N[kept], row_N[kept], weight_N[kept]
        return csr_array((weight_N, (user_N, row_N)), shape=(len(histories), item_count))


def user_items(train: Dataset, *, counted: bool) -> Weights:
    """How often every user had every item, or with ``counted`` false whether they did: [U, I]."""
    shape = (len(train.user_ids), len(train.catalogue))
    weights: Weights = csr_array((np.ones(len(train)), (train.user_E, train.row_E)), shape=shape)
    if not counted:
        weights.data[:] = 1.0
    return weights


def _newest(key_N: IntArray) -> IntArray:
    """Where each key stands last: events come oldest first."""
    first_from_the_end = np.unique(key_N[::-1], return_index=True)[1]
    return len(key_N) - 1 - first_from_the_end
