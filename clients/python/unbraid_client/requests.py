"""Python values to request messages, shared by both clients."""

from __future__ import annotations

from collections.abc import Iterable

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_client.filter_message import filter_message
from unbraid_client.filters import Condition
from unbraid_client.timestamps import timestamp_of
from unbraid_client.types import Event, EventLike, Moment, Profile

__all__ = ["interests_request", "recommend_request"]

VALUE_OF_PROFILE = {
    Profile.FORMULA: pb.RANKING_PROFILE_FORMULA,
    Profile.LEARNED: pb.RANKING_PROFILE_LEARNED,
}


def recommend_request(
    *,
    user_id: str | None,
    history: Iterable[EventLike] | None,
    limit: int,
    as_of: Moment | None,
    include_seen: bool,
    excluded_item_ids: Iterable[str],
    profile: Profile | None,
    diversity: float,
    balance: float,
    min_probability: float,
    conditions: Iterable[Condition],
    allowed_item_ids: Iterable[str] | None,
) -> pb.RecommendRequest:
    """The message of a Recommend call.

    Raises:
        ValueError: not exactly one of user_id and history, or a time, a profile or a filter that cannot be sent.
    """
    request = pb.RecommendRequest(
        limit=limit,
        as_of_time=None if as_of is None else timestamp_of(as_of, "as_of"),
        seen_items=pb.SEEN_ITEMS_INCLUDE if include_seen else pb.SEEN_ITEMS_EXCLUDE,
        excluded_item_ids=excluded_item_ids,
        profile=pb.RANKING_PROFILE_UNSPECIFIED if profile is None else _profile(profile),
        diversity=diversity,
        balance=balance,
        min_probability=min_probability,
        filter=filter_message(conditions, allowed_item_ids),
    )
    _put_subject(request, user_id, history)
    return request


def interests_request(
    *,
    user_id: str | None,
    history: Iterable[EventLike] | None,
    as_of: Moment | None,
    evidence_limit: int,
    include_vectors: bool,
) -> pb.GetInterestsRequest:
    """The message of a GetInterests call.

    Raises:
        ValueError: not exactly one of user_id and history, or a time that cannot be sent.
    """
    request = pb.GetInterestsRequest(
        as_of_time=None if as_of is None else timestamp_of(as_of, "as_of"),
        evidence_limit=evidence_limit,
        include_vectors=include_vectors,
    )
    _put_subject(request, user_id, history)
    return request


def _put_subject(
    request: pb.RecommendRequest | pb.GetInterestsRequest, user_id: str | None, history: Iterable[EventLike] | None
) -> None:
    if user_id is not None and history is None:
        request.user_id = user_id
    elif history is not None and user_id is None:
        request.history.SetInParent()
        request.history.events.extend(_event(event, position) for position, event in enumerate(history))
    else:
        raise ValueError("give either user_id or history")


def _profile(profile: Profile) -> pb.RankingProfile.ValueType:
    if profile not in VALUE_OF_PROFILE:
        raise ValueError(f"profile: {profile!r} cannot be asked for; use {' or '.join(VALUE_OF_PROFILE)}")
    return VALUE_OF_PROFILE[profile]


def _event(event: EventLike, position: int) -> pb.Event:
    known = event if isinstance(event, Event) else Event(*event)
    time = timestamp_of(known.time, f"history[{position}].time")
    return pb.Event(item_id=known.item_id, event_time=time, action=known.action)
