"""Requests as they come over the wire, checked against the documented limits and turned into questions.

Every refusal names the path of the field, as the caller wrote it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_core.errors import InvalidInput
from unbraid_core.filter import Filter
from unbraid_core.ports import Event
from unbraid_core.types import DoubleArray, Profile
from unbraid_server.filters import parse_filter
from unbraid_server.timestamps import NANOS, all_are_times, epoch_seconds

__all__ = [
    "DEFAULT_LIMIT",
    "MAX_HISTORY_EVENTS",
    "MAX_LIMIT",
    "MAX_LISTED_ITEMS",
    "EventColumns",
    "InterestsQuestion",
    "RankQuestion",
    "RecommendQuestion",
    "SimilarQuestion",
    "Subject",
    "parse_get_interests",
    "parse_rank_items",
    "parse_recommend",
    "parse_similar_items",
]

MAX_HISTORY_EVENTS = 10_000
MAX_LISTED_ITEMS = 10_000
MAX_RANKED_ITEMS = 1_000
DEFAULT_LIMIT, MAX_LIMIT = 20, 500
DEFAULT_EVIDENCE_LIMIT, MAX_EVIDENCE_LIMIT = 5, 50

INCLUDES_SEEN: dict[int, bool] = {
    pb.SEEN_ITEMS_UNSPECIFIED: False,
    pb.SEEN_ITEMS_EXCLUDE: False,
    pb.SEEN_ITEMS_INCLUDE: True,
}
PROFILES: dict[int, Profile | None] = {
    pb.RANKING_PROFILE_UNSPECIFIED: None,
    pb.RANKING_PROFILE_FORMULA: Profile.FORMULA,
    pb.RANKING_PROFILE_LEARNED: Profile.LEARNED,
}


@dataclass(frozen=True, slots=True)
class EventColumns:
    """Events in outside terms, in columns of equal length and in any order."""

    item_ids: Sequence[str] = ()
    times_s: Sequence[float] | DoubleArray = ()
    actions: Sequence[str] = ()

    @classmethod
    def of(cls, events: Sequence[Event]) -> Self:
        """Columns of stored events."""
        return cls(
            [event.item_id for event in events],
            [event.time_s for event in events],
            [event.action for event in events],
        )


# Who a question is about: a user of the state store by id, or a history that was sent along.
Subject = str | EventColumns


@dataclass(frozen=True, slots=True)
class RecommendQuestion:
    """A checked RecommendRequest; without a profile it is for the release to choose, without allowed items all are."""

    subject: Subject
    limit: int
    as_of_s: float | None
    include_seen: bool
    excluded_item_ids: Sequence[str]
    profile: Profile | None
    diversity: float
    balance: float
    min_probability: float
    filter: Filter | None
    allowed_item_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class RankQuestion:
    """A checked RankItemsRequest; every item is named once."""

    subject: Subject
    item_ids: Sequence[str]
    as_of_s: float | None
    include_seen: bool
    profile: Profile | None


@dataclass(frozen=True, slots=True)
class SimilarQuestion:
    """A checked SimilarItemsRequest; without allowed items all are."""

    item_id: str
    limit: int
    excluded_item_ids: Sequence[str]
    filter: Filter | None
    allowed_item_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class InterestsQuestion:
    """A checked GetInterestsRequest."""

    subject: Subject
    as_of_s: float | None
    evidence_limit: int
    include_vectors: bool


def parse_recommend(request: pb.RecommendRequest) -> RecommendQuestion:
    """Check a RecommendRequest.

    Raises:
        InvalidInput: a field is missing or out of its limits.
    """
    return RecommendQuestion(
        subject=_subject(request),
        limit=_limit("limit", request.limit, DEFAULT_LIMIT, MAX_LIMIT),
        as_of_s=_as_of(request),
        include_seen=_include_seen(request),
        excluded_item_ids=_item_ids("excluded_item_ids", request.excluded_item_ids),
        profile=_profile(request),
        diversity=_share("diversity", request.diversity),
        balance=_share("balance", request.balance),
        min_probability=_share("min_probability", request.min_probability),
        filter=parse_filter(request.filter),
        allowed_item_ids=_item_ids("filter.allowed_item_ids", request.filter.allowed_item_ids),
    )


def parse_rank_items(request: pb.RankItemsRequest) -> RankQuestion:
    """Check a RankItemsRequest.

    Raises:
        InvalidInput: a field is missing or out of its limits.
    """
    item_ids = request.item_ids
    if not 1 <= len(item_ids) <= MAX_RANKED_ITEMS:
        raise InvalidInput("item_ids", f"{len(item_ids)} ids; send from 1 to {MAX_RANKED_ITEMS}")
    return RankQuestion(
        subject=_subject(request),
        item_ids=_each_once("item_ids", _item_ids("item_ids", item_ids)),
        as_of_s=_as_of(request),
        include_seen=_include_seen(request),
        profile=_profile(request),
    )


def parse_similar_items(request: pb.SimilarItemsRequest) -> SimilarQuestion:
    """Check a SimilarItemsRequest.

    Raises:
        InvalidInput: a field is missing or out of its limits.
    """
    if not request.item_id:
        raise InvalidInput("item_id", "is empty; name an item")
    return SimilarQuestion(
        item_id=request.item_id,
        limit=_limit("limit", request.limit, DEFAULT_LIMIT, MAX_LIMIT),
        excluded_item_ids=_item_ids("excluded_item_ids", request.excluded_item_ids),
        filter=parse_filter(request.filter),
        allowed_item_ids=_item_ids("filter.allowed_item_ids", request.filter.allowed_item_ids),
    )


def parse_get_interests(request: pb.GetInterestsRequest) -> InterestsQuestion:
    """Check a GetInterestsRequest.

    Raises:
        InvalidInput: a field is missing or out of its limits.
    """
    return InterestsQuestion(
        subject=_subject(request),
        as_of_s=_as_of(request),
        evidence_limit=_limit("evidence_limit", request.evidence_limit, DEFAULT_EVIDENCE_LIMIT, MAX_EVIDENCE_LIMIT),
        include_vectors=request.include_vectors,
    )


def _subject(request: pb.RecommendRequest | pb.GetInterestsRequest | pb.RankItemsRequest) -> Subject:
    match request.WhichOneof("subject"):
        case "user_id":
            if not request.user_id:
                raise InvalidInput("user_id", "is empty; name a user, or send a history")
            return request.user_id
        case "history":
            return _columns(request.history)
        case _:
            raise InvalidInput("subject", "is missing; set user_id or history")


def _columns(history: pb.History) -> EventColumns:
    if len(history.events) > MAX_HISTORY_EVENTS:
        raise InvalidInput(
            "history.events", f"{len(history.events)} events; send at most the newest {MAX_HISTORY_EVENTS}"
        )
    if not history.events:
        return EventColumns()
    # Every look into a message costs; four of them for an event are what it takes.
    item_ids, seconds, nanos, actions = zip(
        *[(event.item_id, (time := event.event_time).seconds, time.nanos, event.action) for event in history.events],
        strict=True,
    )
    # A time that is missing reads as 0.
    if not all(item_ids) or not all(seconds) or not all_are_times(seconds, nanos):
        _check_events(history.events)
    return EventColumns(item_ids, np.array(seconds, np.float64) + np.array(nanos) / NANOS, actions)


def _check_events(events: Sequence[pb.Event]) -> None:
    for position, event in enumerate(events):
        if not event.item_id:
            raise InvalidInput(f"history.events[{position}].item_id", "is empty; name an item")
        if not event.HasField("event_time"):
            raise InvalidInput(f"history.events[{position}].event_time", "is missing; say when it happened")
        epoch_seconds(event.event_time, "history.events[{}].event_time", position)


def _item_ids(field: str, item_ids: Sequence[str]) -> Sequence[str]:
    if len(item_ids) > MAX_LISTED_ITEMS:
        raise InvalidInput(field, f"{len(item_ids)} ids; send at most {MAX_LISTED_ITEMS}")
    if "" in item_ids:
        raise InvalidInput(f"{field}[{list(item_ids).index('')}]", "is empty; leave it out")
    return item_ids


def _each_once(field: str, item_ids: Sequence[str]) -> Sequence[str]:
    first: dict[str, int] = {}
    for position, item_id in enumerate(item_ids):
        earlier = first.setdefault(item_id, position)
        if earlier != position:
            problem = f"{item_id!r} is {field}[{earlier}] already; send every item once"
            raise InvalidInput(f"{field}[{position}]", problem)
    return item_ids


def _include_seen(request: pb.RecommendRequest | pb.RankItemsRequest) -> bool:
    if request.seen_items not in INCLUDES_SEEN:
        known = ", ".join(pb.SeenItems.keys())
        raise InvalidInput("seen_items", f"{request.seen_items} is none of {known}")
    return INCLUDES_SEEN[request.seen_items]


def _profile(request: pb.RecommendRequest | pb.RankItemsRequest) -> Profile | None:
    if request.profile not in PROFILES:
        known = ", ".join(pb.RankingProfile.keys())
        raise InvalidInput("profile", f"{request.profile} is none of {known}")
    return PROFILES[request.profile]


def _limit(field: str, value: int, default: int, maximum: int) -> int:
    if value < 0:
        raise InvalidInput(field, f"{value} is negative; send 0 for {default}, or a number up to {maximum}")
    return min(value or default, maximum)


def _share(field: str, value: float) -> float:
    # Written so that what is not a number is refused too.
    if not 0.0 <= value <= 1.0:
        raise InvalidInput(field, f"{value} is out of range; send a number from 0 to 1")
    return value


def _as_of(request: pb.RecommendRequest | pb.GetInterestsRequest | pb.RankItemsRequest) -> float | None:
    return epoch_seconds(request.as_of_time, "as_of_time") if request.HasField("as_of_time") else None
