"""The popularity baselines: what everybody did before the moment of asking.

All-time popularity counts the users of an item. Decayed popularity counts events, an event of age d weighing
2^(-d / half_life). The weights of all items share the factor 2^(-(now - origin) / half_life), which no order depends
on, so each event is added once, as ln 2 * (time - origin) / half_life in log space, and the sums serve every later
moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unbraid_core.decay import LN2
from unbraid_core.types import BoolArray, DoubleArray, IntArray
from unbraid_training.data.dataset import Dataset
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.metrics import RANK_COUNT, user_metrics

__all__ = ["HALF_LIVES_S", "Popularity", "choose_half_life"]

DAY_S = 86_400.0
HALF_LIVES_S = tuple(DAY_S * days for days in (1, 2, 3, 7, 14, 30, 90, 180))
CHOICE_METRIC = "ndcg@50"
NO_ROWS: IntArray = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Popularity:
    """Ranks the whole catalogue by popularity, causally: at the moment of asking, no later event is known.

    Attributes:
        half_life_s: positive seconds; None for all-time popularity, in which each user of an item counts once.
        seed: of the one random order that decides between equally popular items, for all users.
    """

    half_life_s: float | None
    seed: int

    def rank(self, cases: Cases) -> IntArray:
        """The best rows for every user, without seen ones in task new: int64 [H, RANK_COUNT], -1 after the end."""
        tie_I = np.random.default_rng(self.seed).permutation(len(cases.catalogue))
        row_HR = np.full((len(cases), RANK_COUNT), -1, np.int64)
        for asking_G, log_popularity_I in self._moments(cases):
            order_I = np.lexsort((tie_I, -log_popularity_I))
            for user in asking_G:
                seen_N = cases.history(user).row_N if cases.task is Task.NEW else NO_ROWS
                reach_N = order_I[: RANK_COUNT + len(seen_N)]
                best_R = reach_N[~np.isin(reach_N, seen_N)][:RANK_COUNT]
                row_HR[user, : len(best_R)] = best_R
        return row_HR

    def _moments(self, cases: Cases) -> Iterator[tuple[IntArray, DoubleArray]]:
        """For each distinct moment, in order: the users who ask then, and the log popularity of all items."""
        counted = cases.train if self.half_life_s else cases.train.select(_first_of_pair(cases.train))
        order_E = np.argsort(counted.time_s_E, kind="stable")
        row_E, time_s_E = counted.row_E[order_E], counted.time_s_E[order_E]
        log_weight_E = LN2 * (time_s_E - time_s_E[0]) / (self.half_life_s or np.inf)
        log_popularity_I = np.full(len(cases.catalogue), -np.inf)
        done = 0
        for now_s in np.unique(cases.now_s_H):
            known = int(np.searchsorted(time_s_E, now_s, side="left"))
            np.logaddexp.at(log_popularity_I, row_E[done:known], log_weight_E[done:known])
            done = known
            yield np.flatnonzero(cases.now_s_H == now_s), log_popularity_I


def choose_half_life(validation: Cases, seed: int) -> float:
    """The half-life of HALF_LIVES_S with the best mean NDCG@50, the shortest among equals.

    Args:
        validation: users and targets from before the test window.
        seed: of the tie order.
    """
    item_count = len(validation.catalogue)

    def score(half_life_s: float) -> float:
        row_HR = Popularity(half_life_s, seed).rank(validation)
        return float(user_metrics(row_HR, validation.targets, item_count)[CHOICE_METRIC].mean())

    return max(HALF_LIVES_S, key=score)


def _first_of_pair(dataset: Dataset) -> BoolArray:
    """Which events are the first of their user with their item."""
    first_E = np.zeros(len(dataset), np.bool_)
    pair_E = dataset.pair_E
    first_E[np.unique(pair_E, return_index=True)[1]] = True
    return first_E
