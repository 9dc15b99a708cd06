"""The calls that load is made of: how their requests are made, and how an answer is checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_client import Condition, Profile
from unbraid_client import Question as RecommendQuestion
from unbraid_client.requests import recommend_request
from unbraid_load.methods import Method, StreamMethod, UnaryMethod
from unbraid_load.subjects import Subject

__all__ = ["CALLS", "CallKind", "Question", "prepare"]


class CallKind(StrEnum):
    """What is called."""

    RECOMMEND = "recommend"
    BATCH_RECOMMEND = "batch-recommend"
    STREAM_RECOMMEND = "stream-recommend"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about every subject; the fields are those of ``UnbraidClient.recommend``."""

    limit: int = 20
    include_seen: bool = False
    profile: Profile | None = None
    conditions: Sequence[Condition] = ()

    def about(self, subject: Subject) -> pb.RecommendRequest:
        """The question as a message.

        Raises:
            ValueError: a condition cannot be sent.
        """
        return recommend_request(
            RecommendQuestion(
                user_id=subject if isinstance(subject, str) else None,
                history=None if isinstance(subject, str) else subject,
                limit=self.limit,
                include_seen=self.include_seen,
                profile=self.profile,
                conditions=self.conditions,
            )
        )


@dataclass(frozen=True, slots=True)
class Call:
    """How one kind of call goes.

    Attributes:
        method: its name in the generated stub of RecommendationService.
        form: makes it callable.
        takes_many: whether a request is about several subjects.
        request: the bytes of a request about some subjects.
        problem: what is wrong with the bytes of an answer; None where nothing is.
    """

    method: str
    form: Callable[[Callable[..., Any]], Method]
    takes_many: bool
    request: Callable[[Question, Sequence[Subject]], bytes]
    problem: Callable[[bytes], str | None]


def _recommend(question: Question, subjects: Sequence[Subject]) -> bytes:
    [subject] = subjects
    return question.about(subject).SerializeToString()


def _recommend_problem(answer: bytes) -> str | None:
    return _problem(pb.RecommendResponse.FromString(answer))


def _problem(response: pb.RecommendResponse) -> str | None:
    if not response.release_id:
        return "an answer names no release"
    ids = [each.item_id for each in response.recommendations]
    return "an answer recommends an item twice" if len(set(ids)) < len(ids) else None


def _batch_recommend(question: Question, subjects: Sequence[Subject]) -> bytes:
    return pb.BatchRecommendRequest(requests=[question.about(each) for each in subjects]).SerializeToString()


def _batch_recommend_problem(answer: bytes) -> str | None:
    response = pb.BatchRecommendResponse.FromString(answer)
    failed = [outcome.error.message for outcome in response.outcomes if outcome.HasField("error")]
    if failed:
        return f"a question of a batch failed: {failed[0]}"
    if {outcome.response.release_id for outcome in response.outcomes} != {response.release_id}:
        return "a batch was answered by more than one release"
    return next(filter(None, (_problem(outcome.response) for outcome in response.outcomes)), None)


def _stream_recommend(question: Question, subjects: Sequence[Subject]) -> bytes:
    [subject] = subjects
    return pb.StreamRecommendRequest(request=question.about(subject)).SerializeToString()


def _stream_recommend_problem(answer: bytes) -> str | None:
    outcomes = pb.StreamRecommendResponse.FromString(answer).outcomes
    return next(filter(None, (_problem(each.response) for each in outcomes if each.HasField("response"))), None)


CALLS = {
    CallKind.BATCH_RECOMMEND: Call(
        "BatchRecommend", UnaryMethod, takes_many=True, request=_batch_recommend, problem=_batch_recommend_problem
    ),
    CallKind.STREAM_RECOMMEND: Call(
        "StreamRecommend", StreamMethod, takes_many=False, request=_stream_recommend, problem=_stream_recommend_problem
    ),
    CallKind.RECOMMEND: Call(
        "Recommend", UnaryMethod, takes_many=False, request=_recommend, problem=_recommend_problem
    ),
}


def prepare(kind: CallKind, question: Question, subjects: Sequence[Subject], batch_size: int) -> list[bytes]:
    """The requests about all subjects, ready to be sent.

    Args:
        kind: of call.
        question: what is asked.
        subjects: who is asked about.
        batch_size: subjects of a request, where a kind of call takes several.

    Raises:
        ValueError: a condition cannot be sent.
    """
    call = CALLS[kind]
    size = batch_size if call.takes_many else 1
    groups = (subjects[start : start + size] for start in range(0, len(subjects), size))
    return [call.request(question, group) for group in groups]
