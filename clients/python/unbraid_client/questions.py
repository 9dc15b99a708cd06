"""What goes into calls about many users or given items, and what comes out of them, as plain immutable values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from unbraid_client.errors import ClientError
from unbraid_client.filters import Condition
from unbraid_client.types import (
    Basis,
    EventLike,
    Interest,
    Moment,
    Profile,
    Recommendation,
    RecommendResult,
    SearchPlan,
)

__all__ = ["Answer", "BatchResult", "Question", "RankResult", "SimilarItem", "SimilarResult"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What `UnbraidClient.recommend` is asked, as a value; the fields are its arguments."""

    user_id: str | None = None
    history: Iterable[EventLike] | None = None
    limit: int = 20
    as_of: Moment | None = None
    include_seen: bool = False
    excluded_item_ids: Iterable[str] = ()
    profile: Profile | None = None
    diversity: float = 0.0
    balance: float = 0.0
    min_probability: float = 0.0
    conditions: Iterable[Condition] = ()
    allowed_item_ids: Iterable[str] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a question: either a result or the error that a call of its own would have raised."""

    question: Question
    result: RecommendResult | None
    error: ClientError | None

    def unwrap(self) -> RecommendResult:
        """The result.

        Raises:
            ClientError: the error, where there is none.
        """
        if self.error is not None:
            raise self.error
        assert self.result is not None
        return self.result


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Answers to many questions, in their order, all by one release."""

    release_id: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class RankResult:
    """Given items, best first, and the interests that were weighed for them.

    Attributes:
        unknown_item_ids: given ids that the release does not know.
    """

    release_id: str
    items: tuple[Recommendation, ...]
    unknown_item_ids: tuple[str, ...]
    interests: tuple[Interest, ...]
    basis: Basis
    profile: Profile
    as_of: datetime
    ignored_event_count: int


@dataclass(frozen=True, slots=True)
class SimilarItem:
    """A neighbour of an item; ``similarity`` is the cosine of their vectors."""

    item_id: str
    title: str
    categories: tuple[str, ...]
    similarity: float


@dataclass(frozen=True, slots=True)
class SimilarResult:
    """The neighbours of an item, nearest first.

    Attributes:
        matching_item_count: how many items meet the filter; None without a filter.
    """

    release_id: str
    items: tuple[SimilarItem, ...]
    search_plan: SearchPlan
    matching_item_count: int | None
