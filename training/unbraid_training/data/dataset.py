"""The data set: cleaned events in columns, grouped by user, oldest first."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from unbraid_core.catalogue import Catalogue
from unbraid_core.types import BoolArray, DoubleArray, History, IntArray
from unbraid_training.data.columns import IndexArray
from unbraid_training.data.event_order import blocks

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
        user_E, row_E, action_E: int32 indices of every event; compute with ``pair_E``, their products overflow.
        time_s_E: epoch seconds of every event.
    """

    catalogue: Catalogue
    user_ids: Sequence[str]
    actions: Sequence[str]
    user_E: IndexArray
    row_E: IndexArray
    time_s_E: DoubleArray
    action_E: IndexArray

    @classmethod
    def of(
        cls,
        catalogue: Catalogue,
        user_ids: Sequence[str],
        actions: Sequence[str],
        user_E: IntArray | IndexArray,
        row_E: IntArray | IndexArray,
        time_s_E: DoubleArray,
        action_E: IntArray | IndexArray,
    ) -> Dataset:
        """Build a data set from events in any order."""
        order_E = np.lexsort((time_s_E, user_E))
        user_E, row_E, action_E = (column[order_E].astype(np.int32) for column in (user_E, row_E, action_E))
        return cls(catalogue, user_ids, actions, user_E, row_E, time_s_E[order_E], action_E)

    @cached_property
    def offset_U1(self) -> IntArray:
        """Where each user's events start, and where the last user's end."""
        return np.searchsorted(self.user_E, np.arange(len(self.user_ids) + 1, dtype=np.int32)).astype(np.int64)

    @property
    def pair_E(self) -> IntArray:
        """One number for the user and the item of every event: equal where both are."""
        return self.user_E * np.int64(len(self.catalogue)) + self.row_E

    def __len__(self) -> int:
        """Number of events."""
        return len(self.row_E)

    def history(self, user: int) -> History:
        """All events of a user, oldest first."""
        events = slice(int(self.offset_U1[user]), int(self.offset_U1[user + 1]))
        row_N, action_N = (column[events].astype(np.int64) for column in (self.row_E, self.action_E))
        return History(row_N, self.time_s_E[events], action_N)

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
        new_row_I = (np.cumsum(keep_I) - 1).astype(np.int32)
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
        for column, kind in (
            (self.user_E, np.int64),
            (self.row_E, np.int64),
            (self.time_s_E, np.float64),
            (self.action_E, np.int64),
        ):
            for part in blocks(len(self)):
                digest.update(column[part].astype(kind).tobytes())
        return digest.hexdigest()
