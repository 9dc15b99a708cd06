"""Python values to request messages, shared by both clients."""

from __future__ import annotations

from collections.abc import Iterable

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_client.filter_message import filter_message
from unbraid_client.filters import Condition
from unbraid_client.questions import Question
from unbraid_client.timestamps import timestamp_of
from unbraid_client.types import Event, EventLike, Moment, Profile

__all__ = ["batch_request", "interests_request", "rank_request", "recommend_request", "similar_request"]

VALUE_OF_PROFILE = {
    Profile.FORMULA: pb.RANKING_PROFILE_FORMULA,
    Profile.LEARNED: pb.RANKING_PROFILE_LEARNED,
}


def recommend_request(question: Question) -> pb.RecommendRequest:
    """The message of a Recommend call.

    Raises:
        ValueError: not exactly one of user_id and history, or a time, a profile or a filter that cannot be sent.
        TypeError: a condition has one string in place of several values.
    """
    request = pb.RecommendRequest(
        limit=question.limit,
        as_of_time=None if question.as_of is None else timestamp_of(question.as_of, "as_of"),
        seen_items=_seen_items(include_seen=question.include_seen),
        excluded_item_ids=question.excluded_item_ids,
        profile=_profile(question.profile),
        diversity=question.diversity,
        balance=question.balance,
        min_probability=question.min_probability,
        filter=filter_message(question.conditions, question.allowed_item_ids),
    )
    _put_subject(request, question.user_id, question.history)
    return request


def batch_request(questions: Iterable[Question]) -> pb.BatchRecommendRequest:
    """The message of a BatchRecommend call.

    Raises:
        ValueError, TypeError: as ``recommend_request``.
    """
    return pb.BatchRecommendRequest(requests=map(recommend_request, questions))


def rank_request(
    item_ids: Iterable[str],
    *,
    user_id: str | None,
    history: Iterable[EventLike] | None,
    as_of: Moment | None,
    include_seen: bool,
    profile: Profile | None,
) -> pb.RankItemsRequest:
    """The message of a RankItems call.

    Raises:
        ValueError: not exactly one of user_id and history, or a time or a profile that cannot be sent.
    """
    request = pb.RankItemsRequest(
        item_ids=item_ids,
        as_of_time=None if as_of is None else timestamp_of(as_of, "as_of"),
        seen_items=_seen_items(include_seen=include_seen),
        profile=_profile(profile),
    )
    _put_subject(request, user_id, history)
    return request


def similar_request(
    item_id: str,
    *,
    limit: int,
    excluded_item_ids: Iterable[str],
    conditions: Iterable[Condition],
    allowed_item_ids: Iterable[str] | None,
) -> pb.SimilarItemsRequest:
    """The message of a SimilarItems call.

    Raises:
        ValueError, TypeError: a filter that cannot be sent.
    """
    return pb.SimilarItemsRequest(
        item_id=item_id,
        limit=limit,
        excluded_item_ids=excluded_item_ids,
        filter=filter_message(conditions, allowed_item_ids),
    )


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
    request: pb.RecommendRequest | pb.RankItemsRequest | pb.GetInterestsRequest,
    user_id: str | None,
    history: Iterable[EventLike] | None,
) -> None:
    if user_id is not None and history is None:
        request.user_id = user_id
    elif history is not None and user_id is None:
        request.history.SetInParent()
        request.history.events.extend(_event(event, position) for position, event in enumerate(history))
    else:
        raise ValueError("give either user_id or history")


def _seen_items(*, include_seen: bool) -> pb.SeenItems.ValueType:
    return pb.SEEN_ITEMS_INCLUDE if include_seen else pb.SEEN_ITEMS_EXCLUDE


def _profile(profile: Profile | None) -> pb.RankingProfile.ValueType:
    if profile is None:
        return pb.RANKING_PROFILE_UNSPECIFIED
    if profile not in VALUE_OF_PROFILE:
        raise ValueError(f"profile: {profile!r} cannot be asked for; use {' or '.join(VALUE_OF_PROFILE)}")
    return VALUE_OF_PROFILE[profile]


def _event(event: EventLike, position: int) -> pb.Event:
    known = event if isinstance(event, Event) else Event(*event)
    time = timestamp_of(known.time, f"history[{position}].time")
    return pb.Event(item_id=known.item_id, event_time=time, action=known.action)
