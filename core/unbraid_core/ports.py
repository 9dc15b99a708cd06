"""The ports: what the pipeline needs from the outside, as small protocols.

Every implementation passes the contract suite of its port in ``tests/contract``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from unbraid_core.item_change import ItemChange
from unbraid_core.types import BoolArray, DoubleArray, FloatArray, HistoryBatch, InterestBatch, SearchHits

__all__ = ["CatalogueStore", "Encoder", "Event", "Ranker", "Searcher", "StateStore", "UserEvent"]


class Encoder(Protocol):
    """Takes interests out of histories. Implementations are safe to call from several threads at once."""

    def encode(self, batch: HistoryBatch) -> InterestBatch:
        """Encode a batch in which every history has at least one event.

        Padding never changes an answer: the same history gives the same interests at any B and L.
        """
        ...


class Searcher(Protocol):
    """Finds the rows whose vectors have the largest inner products. Safe to call from several threads at once."""

    @property
    def size(self) -> int:
        """Number of items that can be found."""
        ...

    def search(self, query_QD: FloatArray, count: int, allowed_I: BoolArray | None = None) -> SearchHits:
        """The ``count`` best rows for each query, best first, padded with -1 where there are fewer.

        Args:
            query_QD: float32.
            count: how many rows a query wants.
            allowed_I: which rows may come back, for all queries of the call; None allows all of them. A list is short
                only if fewer rows are allowed. What an approximate search finds among them may depend on all queries
                of the call.

        Raises:
            InvalidInput: the queries are not finite, not [Q, D], count is not positive, or ``allowed_I`` has another
                length than ``size``.
        """
        ...


class Ranker(Protocol):
    """Scores candidates by their features. Implementations are safe to call from several threads at once."""

    def score(self, feature_CF: FloatArray) -> DoubleArray:
        """Log odds that each candidate is what the user does next: float64 [C].

        Args:
            feature_CF: float32 [C, F], columns as in ``features.FEATURE_NAMES``, and behind them, where the ranker
                reads them, those of ``interactions.product_names``; rows do not depend on each other.
        """
        ...


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a user did, in outside terms. An empty action is the unspecified action."""

    item_id: str
    time_s: float
    action: str = ""


@dataclass(frozen=True, slots=True)
class UserEvent:
    """An event together with the user it belongs to."""

    user_id: str
    event: Event


class StateStore(Protocol):
    """Remembers what users did. A release never holds user data; this is the only place that does."""

    def append(self, events: Iterable[UserEvent]) -> int:
        """Store events durably and return how many were new; storing the same event again changes nothing.

        Raises:
            InvalidInput: an id is empty or a time is not finite.
        """
        ...

    def read(self, user_id: str, limit: int) -> Sequence[Event]:
        """The newest ``limit`` events of a user, oldest first.

        Raises:
            NotFound: the store knows no event of this user.
        """
        ...

    def delete_user(self, user_id: str) -> int:
        """Forget a user for good and return how many events were removed."""
        ...

    def count_users(self) -> int:
        """Number of users with at least one event."""
        ...

    def close(self) -> None:
        """Release files and connections; the store is not used afterwards."""
        ...


class CatalogueStore(Protocol):
    """Remembers what became of items since releases were built: the latest change of each item, in order.

    Every change gets a number that is larger than all before it, in the order in which changes become visible. So who
    has all changes up to a number has only to ask for those after it.
    """

    def apply(self, changes: Sequence[ItemChange]) -> int:
        """Store changes durably, all or none, and return the number of the last one.

        A change takes the place of what was stored of its item. Without a vector, it keeps the stored one, unless
        either of the two is a deletion.
        """
        ...

    def changes(self, after: int) -> Sequence[ItemChange]:
        """The stored changes with larger numbers than ``after``, in their order; one for each item."""
        ...

    def last_sequence(self) -> int:
        """The largest number that was given out so far, if its change is stored or not any more; 0 before the first."""
        ...

    def continue_after(self, sequence: int) -> None:
        """Give out no number up to ``sequence`` any more: a new store beside a release that has folded changes in."""
        ...

    def prune(self, through: int) -> int:
        """Forget the changes up to a number, which every release in use has folded in; returns how many."""
        ...

    def close(self) -> None:
        """Release files and connections; the store is not used afterwards."""
        ...
