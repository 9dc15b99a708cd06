"""The data set: cleaned events in columns, grouped by user, oldest first."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from unbraid_core.catalogue import Catalogue
from unbraid_core.types import BoolArray, DoubleArray, History, IntArray

__all__ = ["Dataset"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Events of U users on the items of a catalogue.

    The E events are sorted by (user, time), ties in the order of the input; ``offset_U1`` delimits each user's
    slice.

    Attributes:
        catalogue: the items; rows of events point into it.
        user_ids: outside ids, by user index.
        actions: action vocabulary; index 0 is the unspecified action, written as an empty string.
        user_E, row_E, action_E: int64 indices of every event.
        time_s_E: epoch seconds of every event.
    """

    catalogue: Catalogue
    user_ids: Sequence[str]
    actions: Sequence[str]
    user_E: IntArray
    row_E: IntArray
    time_s_E: DoubleArray
    action_E: IntArray

    @classmethod
    def of(
        cls,
        catalogue: Catalogue,
        user_ids: Sequence[str],
        actions: Sequence[str],
        user_E: IntArray,
        row_E: IntArray,
        time_s_E: DoubleArray,
        action_E: IntArray,
    ) -> Dataset:
        """Build a data set from events in any order."""
        order_E = np.lexsort((time_s_E, user_E))
        return cls(catalogue, user_ids, actions, user_E[order_E], row_E[order_E], time_s_E[order_E], action_E[order_E])

    @cached_property
    def offset_U1(self) -> IntArray:
        """Where each user's events start, and where the last user's end."""
        counts_U = np.bincount(self.user_E, minlength=len(self.user_ids))
        return np.concatenate([[0], np.cumsum(counts_U)]).astype(np.int64)

    def __len__(self) -> int:
        """Number of events."""
        return len(self.row_E)

    def history(self, user: int) -> History:
        """All events of a user, oldest first."""
        events = slice(int(self.offset_U1[user]), int(self.offset_U1[user + 1]))
        return History(self.row_E[events], self.time_s_E[events], self.action_E[events])

    def select(self, keep_E: BoolArray) -> Dataset:
        """The same users and items with some of the events only."""
        return Dataset(
            self.catalogue,
            self.user_ids,
            self.actions,
            self.user_E[keep_E],
            self.row_E[keep_E],
            self.time_s_E[keep_E],
            self.action_E[keep_E],
        )

    def with_items(self, keep_I: BoolArray) -> Dataset:
        """The same users with some of the items only; events on other items are dropped, rows are renumbered."""
        new_row_I = np.cumsum(keep_I) - 1
        kept = self.select(keep_I[self.row_E])
        catalogue = self.catalogue.take(np.flatnonzero(keep_I))
        return Dataset(
            catalogue, self.user_ids, self.actions, kept.user_E, new_row_I[kept.row_E], kept.time_s_E, kept.action_E
        )

    def sha256(self) -> str:
        """Digest of everything that training can see: ids, actions and the event columns."""
        digest = hashlib.sha256()
        for names in (self.catalogue.item_ids, self.user_ids, self.actions):
            digest.update("\0".join(names).encode())
            digest.update(b"\1")
        for column in (self.user_E, self.row_E, self.time_s_E, self.action_E):
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()
