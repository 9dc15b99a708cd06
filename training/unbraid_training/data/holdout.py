"""A data set in two parts: what a model learns from, and what it must find for whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unbraid_core.types import BoolArray, DoubleArray, IntArray
from unbraid_training.data.dataset import Dataset

__all__ = ["MIN_TRAINING_ITEMS", "Holdout", "distinct_items", "hold_out"]

MIN_TRAINING_ITEMS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Holdout:
    """The training events, and the H users that are evaluated: those with >= 5 training items and >= 1 target.

    Targets are the items of a user's held-out events, the known ones among them included; the evaluation decides
    whether those count.

    Attributes:
        train: the training events; its catalogue is every item seen in them, its users are all users.
        user_H: int64 indices of the evaluated users, ascending.
        now_s_H: the moment for which each user's history is taken and decayed.
        target_row_T: target rows of all users, user by user; unique and ascending within a user.
        target_offset_H1: where each user's targets start, and where the last user's end.
        cold_count: held-out (user, item) pairs without a target because the item was never seen in training.
    """

    train: Dataset
    user_H: IntArray
    now_s_H: DoubleArray
    target_row_T: IntArray
    target_offset_H1: IntArray
    cold_count: int

    def __len__(self) -> int:
        """Number of evaluated users."""
        return len(self.user_H)

    def targets(self, position: int) -> IntArray:
        """Target rows of the evaluated user at a position of ``user_H``."""
        return self.target_row_T[self.target_offset_H1[position] : self.target_offset_H1[position + 1]]


def hold_out(dataset: Dataset, train_E: BoolArray, held_E: BoolArray, now_s_U: DoubleArray) -> Holdout:
    """Part a data set by two masks over its events; ``now_s_U`` is the moment of each user, were it evaluated."""
    item_count = len(dataset.catalogue)
    seen_I = np.bincount(dataset.row_E[train_E], minlength=item_count) > 0
    train = dataset.select(train_E).with_items(seen_I)
    pair_P = np.unique(dataset.pair_E[held_E])
    user_P, row_P = np.divmod(pair_P, item_count)
    cold_P = ~seen_I[row_P]
    target_P = ~cold_P & (distinct_items(train) >= MIN_TRAINING_ITEMS)[user_P]
    user_H, start_H = np.unique(user_P[target_P], return_index=True)
    new_row_I = np.cumsum(seen_I) - 1
    return Holdout(
        train=train,
        user_H=user_H,
        now_s_H=now_s_U[user_H],
        target_row_T=new_row_I[row_P[target_P]],
        target_offset_H1=np.append(start_H, target_P.sum()),
        cold_count=int(cold_P.sum()),
    )


def distinct_items(dataset: Dataset) -> IntArray:
    """Number of different items of each user: int64 [U]."""
    pair_P = np.unique(dataset.pair_E)
    return np.bincount(pair_P // len(dataset.catalogue), minlength=len(dataset.user_ids))
