"""The users of some cases as baselines meet them: views, popularity and rankings, made once for many settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np

from unbraid_core.types import DoubleArray, IntArray
from unbraid_training.baselines.baseline import View
from unbraid_training.baselines.profile import Profile
from unbraid_training.baselines.ranking import best_rows
from unbraid_training.data.dataset import Dataset
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.metrics import RANK_COUNT
from unbraid_training.item_statistics import log_popularity

__all__ = ["Panel"]

BLOCK_SIZE = 256
KNOWN = Profile(counted=False)

SeenT = TypeVar("SeenT")


class Panel:
    """Users who ask, by blocks that bound the memory of [B, I] arrays.

    Args:
        cases: the users.
        seed: of the one random order that decides between items with equal scores, for all users.
    """

    def __init__(self, cases: Cases, seed: int) -> None:
        self.cases = cases
        self._histories = [cases.history(position) for position in range(len(cases))]
        self._tie_I = np.random.default_rng(seed).permutation(len(cases.catalogue))
        self._seen: dict[tuple[View[Any], int], Any] = {}
        self._log_popularity: dict[float, DoubleArray] = {}

    @property
    def train(self) -> Dataset:
        """What a baseline may learn from."""
        return self.cases.train

    def blocks(self) -> Iterator[slice]:
        """The users, some at a time."""
        for start in range(0, len(self.cases), BLOCK_SIZE):
            yield slice(start, min(start + BLOCK_SIZE, len(self.cases)))

    def seen(self, view: View[SeenT], block: slice) -> SeenT:
        """What a baseline sees of a block of users."""
        key = (view, block.start)
        if key not in self._seen:
            self._seen[key] = view.of(self._histories[block], self.cases.now_s_H[block], len(self.cases.catalogue))
        seen_B: SeenT = self._seen[key]
        return seen_B

    def log_popularity(self, half_life_s: float) -> DoubleArray:
        """Log of the decayed popularity of every item at the end of the training events: [I]."""
        if half_life_s not in self._log_popularity:
            self._log_popularity[half_life_s] = log_popularity(self.train, half_life_s).astype(np.float64)
        return self._log_popularity[half_life_s]

    def best_rows(self, score_BI: DoubleArray, block: slice) -> IntArray:
        """The rankings of a block by some scores, without known items in task new: int64 [B, RANK_COUNT].

        -1 stands after the end of a short ranking.
        """
        if self.cases.task is Task.NEW:
            score_BI = score_BI.copy()
            score_BI[self.seen(KNOWN, block).nonzero()] = -np.inf
        return best_rows(score_BI, self._tie_I, RANK_COUNT)
