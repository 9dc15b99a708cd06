"""Python values to request messages, shared by both clients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_client.arguments import checked, filled, several, wrong_type
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


def recommend_request(question: Question, path: str = "") -> pb.RecommendRequest:
    """The message of a Recommend call; ``path`` says where the question stands, such as ``questions[3].``.

    Raises:
        ValueError: not exactly one of user_id and history, or a time, a profile or a filter that cannot be sent.
        TypeError: an argument is of another type than it has to be.
    """
    return filled(
        pb.RecommendRequest,
        path,
        **_subject(question.user_id, question.history, path),
        limit=question.limit,
        as_of_time=None if question.as_of is None else timestamp_of(question.as_of, f"{path}as_of"),
        seen_items=_seen_items(include_seen=question.include_seen),
        excluded_item_ids=several(question.excluded_item_ids, f"{path}excluded_item_ids", "str"),
        profile=_profile(question.profile),
        diversity=question.diversity,
        balance=question.balance,
        min_probability=question.min_probability,
        filter=filter_message(question.conditions, question.allowed_item_ids, path),
    )


def batch_request(questions: Iterable[Question]) -> pb.BatchRecommendRequest:
    """The message of a BatchRecommend call.

    Raises:
        ValueError, TypeError: as ``recommend_request``.
    """
    return pb.BatchRecommendRequest(
        requests=[
            recommend_request(
                checked(each, Question, f"questions[{position}]", "a Question"), f"questions[{position}]."
            )
            for position, each in enumerate(questions)
        ]
    )


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
        ValueError, TypeError: as ``recommend_request``.
    """
    return filled(
        pb.RankItemsRequest,
        "",
        **_subject(user_id, history, ""),
        item_ids=several(item_ids, "item_ids", "str"),
        as_of_time=None if as_of is None else timestamp_of(as_of, "as_of"),
        seen_items=_seen_items(include_seen=include_seen),
        profile=_profile(profile),
    )


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
        ValueError, TypeError: as ``recommend_request``.
    """
    return filled(
        pb.SimilarItemsRequest,
        "",
        item_id=item_id,
        limit=limit,
        excluded_item_ids=several(excluded_item_ids, "excluded_item_ids", "str"),
        filter=filter_message(conditions, allowed_item_ids, ""),
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
        ValueError, TypeError: as ``recommend_request``.
    """
    return filled(
        pb.GetInterestsRequest,
        "",
        **_subject(user_id, history, ""),
        as_of_time=None if as_of is None else timestamp_of(as_of, "as_of"),
        evidence_limit=evidence_limit,
        include_vectors=include_vectors,
    )


class _Subject(TypedDict, total=False):
    user_id: str
    history: pb.History


def _subject(user_id: str | None, history: Iterable[EventLike] | None, path: str) -> _Subject:
    """The one of the two fields that is set."""
    if user_id is not None and history is None:
        return {"user_id": user_id}
    if history is not None and user_id is None:
        events = several(history, f"{path}history", "Event")
        return {"history": pb.History(events=[_event(each, f"{path}history[{i}]") for i, each in enumerate(events)])}
    raise ValueError("give either user_id or history")


def _seen_items(*, include_seen: bool) -> pb.SeenItems.ValueType:
    return pb.SEEN_ITEMS_INCLUDE if include_seen else pb.SEEN_ITEMS_EXCLUDE


def _profile(profile: Profile | None) -> pb.RankingProfile.ValueType:
    if profile is None:
        return pb.RANKING_PROFILE_UNSPECIFIED
    if profile not in VALUE_OF_PROFILE:
        raise ValueError(f"profile: {profile!r} cannot be asked for; use {' or '.join(VALUE_OF_PROFILE)}")
    return VALUE_OF_PROFILE[profile]


def _event(event: EventLike, path: str) -> pb.Event:
    known = _known(event, path)
    time = timestamp_of(known.time, f"{path}.time")
    return filled(pb.Event, f"{path}.", item_id=known.item_id, event_time=time, action=known.action)


def _known(event: object, path: str) -> Event:
    if isinstance(event, Event):
        return event
    if isinstance(event, tuple | list) and len(event) in (2, 3):
        return Event(*event)
    raise wrong_type(path, event, "an Event, (item_id, time) or (item_id, time, action)")
