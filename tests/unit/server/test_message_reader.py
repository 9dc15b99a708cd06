"""Bytes that are no message, over a real socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from unbraid.v1 import recommendation_pb2 as pb

if TYPE_CHECKING:
    from tests.unit.server.conftest import Refused

SERVICE = "/unbraid.v1.RecommendationService/"
TIMEOUT_S = 20.0
# A field of a length that is not there.
NO_MESSAGE = b"\x0a\x05a"


def test_bytes_that_are_no_message_are_the_callers_fault(channel_learned: grpc.Channel, refused: Refused) -> None:
    raw: Any = channel_learned
    refusal = refused(lambda: raw.unary_unary(f"{SERVICE}Recommend")(NO_MESSAGE, timeout=TIMEOUT_S))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.message.startswith("request: ")


def test_a_stream_answers_what_came_before_such_bytes_and_ends_at_once(
    channel_learned: grpc.Channel, refused: Refused
) -> None:
    raw: Any = channel_learned
    question = pb.StreamRecommendRequest(question_id="a", request=pb.RecommendRequest(user_id="nobody", limit=1))
    answers: list[bytes] = []
    stream = raw.stream_stream(f"{SERVICE}StreamRecommend")(
        iter([question.SerializeToString(), NO_MESSAGE]), timeout=TIMEOUT_S
    )
    refusal = refused(lambda: answers.extend(stream))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    outcomes = [outcome for answer in answers for outcome in pb.StreamRecommendResponse.FromString(answer).outcomes]
    assert [outcome.question_id for outcome in outcomes] == ["a"]
