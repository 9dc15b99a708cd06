"""What the systems are asked, and what counts as right: the held-out users of a split, as one task sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import InvalidInput
from unbraid_core.types import DoubleArray, History, IntArray
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.holdout import MIN_TRAINING_ITEMS, Holdout

__all__ = ["Cases", "Task"]


class Task(StrEnum):
    """NEW: find items that the user did not have; known ones are neither targets nor recommended. ALL: any item."""

    NEW = "new"
    ALL = "all"


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """H users to evaluate, each with at least one target.

    Attributes:
        task: which targets count.
        train: the training events; all rows, here and in ``targets``, are those of its catalogue.
        user_H: the user indices in ``train``.
        now_s_H: the moment at which each user asks.
        targets: [H] arrays of distinct rows.
        outside_count: held-out (user, item) pairs that are no target because the catalogue lacks the item.
    """

    task: Task
    train: Dataset
    user_H: IntArray
    now_s_H: DoubleArray
    targets: list[IntArray]
    outside_count: int

    @classmethod
    def of(
        cls, holdout: Holdout, task: Task, catalogue: Catalogue | None = None, actions: Sequence[str] | None = None
    ) -> Cases:
        """Take the cases from a holdout.

        Args:
            holdout: training events and held-out users.
            task: which targets count.
            catalogue: the items that can be recommended, if other than all items of the training events.
            actions: the action vocabulary to use, if other than that of the training events; index 0 stands for every
                action that is not in it.

        Raises:
            InvalidInput: no user has a target.
        """
        train, row_I = _onto(holdout.train, catalogue or holdout.train.catalogue, actions or holdout.train.actions)
        outside_count = holdout.cold_count
        kept, targets = [], []
        for position, user in enumerate(holdout.user_H):
            row_T = row_I[holdout.targets(position)]
            outside_count += int((row_T < 0).sum())
            target_T = row_T[row_T >= 0]
            if task is Task.NEW:
                target_T = np.setdiff1d(target_T, train.history(user).row_N)
            if len(target_T) > 0:
                kept.append(position)
                targets.append(target_T)
        if not kept:
            raise InvalidInput(
                "split",
                f"no user has a target of task {task}; a user needs {MIN_TRAINING_ITEMS} items before the hold-out "
                "and, in it, an item that others had before: choose another split, or give more events",
            )
        return cls(task, train, holdout.user_H[kept], holdout.now_s_H[kept], targets, outside_count)

    def __len__(self) -> int:
        """Number of users."""
        return len(self.user_H)

    @property
    def catalogue(self) -> Catalogue:
        """The items that can be recommended."""
        return self.train.catalogue

    @property
    def target_count(self) -> int:
        """Number of (user, target) pairs."""
        return sum(len(target_T) for target_T in self.targets)

    def user_id(self, position: int) -> str:
        """The outside id of the user at a position of ``user_H``."""
        return self.train.user_ids[int(self.user_H[position])]

    def history(self, position: int) -> History:
        """All training events of the user at a position of ``user_H``."""
        return self.train.history(int(self.user_H[position]))

    def sample(self, count: int, seed: int) -> Cases:
        """A random choice of ``count`` users, or all where there are fewer."""
        chosen = np.random.default_rng(seed).permutation(len(self))[:count]
        chosen.sort()
        return replace(
            self,
            user_H=self.user_H[chosen],
            now_s_H=self.now_s_H[chosen],
            targets=[self.targets[position] for position in chosen],
        )


def _onto(train: Dataset, catalogue: Catalogue, actions: Sequence[str]) -> tuple[Dataset, IntArray]:
    """The events in terms of a catalogue and a vocabulary, and the new row of every old one, -1 where it is gone."""
    row_I = catalogue.rows(train.catalogue.item_ids)
    index_of = {action: index for index, action in enumerate(actions)}
    action_A = np.array([index_of.get(action, 0) for action in train.actions], np.int32)
    kept = train.select(row_I[train.row_E] >= 0)
    onto = replace(
        kept,
        catalogue=catalogue,
        actions=actions,
        row_E=row_I[kept.row_E].astype(np.int32),
        action_E=action_A[kept.action_E],
    )
    return onto, row_I
