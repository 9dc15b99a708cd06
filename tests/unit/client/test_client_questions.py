"""Calls about many users or given items: what the clients send, what they make of an answer, and how streams end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2, error_details_pb2, status_pb2

from unbraid.v1 import filter_pb2
from unbraid.v1 import recommendation_pb2 as pb
from unbraid_client import (
    Answer,
    AnyOf,
    AsyncUnbraidClient,
    BatchResult,
    FieldViolation,
    InvalidRequest,
    NotFound,
    Profile,
    Question,
    RankResult,
    SearchPlan,
    SimilarItem,
    SimilarResult,
    Unavailable,
    UnbraidClient,
)
from unbraid_client.results import recommend_result

if TYPE_CHECKING:
    from tests.unit.client.conftest import Call, ScriptedServer

NOON_S = 893_419_200
NOON = datetime(1998, 4, 24, 12, tzinfo=UTC)
TIMEOUT_S = 20.0

ANSWERED = pb.RecommendResponse(release_id="r1", recommendations=[pb.Recommendation(item_id="172", score=2.5)])


def wrong(field: str) -> status_pb2.Status:
    status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=f"{field}: -1 is negative")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="INVALID_INPUT"))
    violation = error_details_pb2.BadRequest.FieldViolation(field=field, description="-1 is negative")
    status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    return status


def assert_refused(answer: Answer, question: Question, field: str) -> None:
    assert (answer.question, answer.result) == (question, None)
    assert isinstance(answer.error, InvalidRequest)
    assert answer.error.details.reason == "INVALID_INPUT"
    assert answer.error.details.violations == (FieldViolation(field, "-1 is negative"),)
    with pytest.raises(InvalidRequest, match="is negative"):
        answer.unwrap()


def test_a_batch_says_what_became_of_each_question(server: ScriptedServer, call: Call) -> None:
    server.answer(
        pb.BatchRecommendResponse(
            release_id="r1",
            outcomes=[pb.RecommendOutcome(response=ANSWERED), pb.RecommendOutcome(error=wrong("requests[1].limit"))],
        )
    )
    questions = [Question(user_id="7", profile=Profile.FORMULA), Question(history=[("50", NOON_S)], limit=-1)]
    result = call("batch_recommend", questions=iter(questions))
    assert isinstance(result, BatchResult)
    assert result.release_id == "r1"
    right, refused = result.answers
    assert right == Answer(questions[0], recommend_result(ANSWERED), None)
    assert right.unwrap() is right.result
    assert_refused(refused, questions[1], "requests[1].limit")
    [sent] = server.requests
    assert [each.WhichOneof("subject") for each in sent.requests] == ["user_id", "history"]
    assert (sent.requests[0].profile, sent.requests[1].limit) == (pb.RANKING_PROFILE_FORMULA, -1)


def test_a_status_that_only_a_newer_server_knows_is_an_error_all_the_same(server: ScriptedServer, call: Call) -> None:
    outcome = pb.RecommendOutcome(error=status_pb2.Status(code=99))
    server.answer(pb.BatchRecommendResponse(outcomes=[outcome]))
    [answer] = call("batch_recommend", questions=[Question(user_id="7")]).answers
    assert (answer.error.code, str(answer.error)) == (grpc.StatusCode.UNKNOWN, "UNKNOWN")


def test_a_question_that_cannot_be_sent_is_refused_by_the_client(server: ScriptedServer, call: Call) -> None:
    with pytest.raises(ValueError, match="either user_id or history"):
        call("batch_recommend", questions=[Question(user_id="7"), Question()])
    assert server.requests == []


def test_ranked_items_become_values(server: ScriptedServer, call: Call) -> None:
    server.answer(
        pb.RankItemsResponse(
            release_id="r1",
            items=ANSWERED.recommendations,
            unknown_item_ids=["9"],
            basis=pb.ANSWER_BASIS_INTERESTS,
            profile=pb.RANKING_PROFILE_LEARNED,
            as_of_time=Timestamp(seconds=NOON_S),
            ignored_event_count=2,
        )
    )
    answered = recommend_result(ANSWERED)
    result = call("rank_items", item_ids=["172", "9"], user_id="7", as_of=NOON, include_seen=True)
    assert isinstance(result, RankResult)
    assert (result.release_id, result.items, result.unknown_item_ids) == ("r1", answered.recommendations, ("9",))
    assert (result.basis, result.profile, result.as_of) == ("interests", Profile.LEARNED, NOON)
    assert (result.interests, result.ignored_event_count) == ((), 2)
    [sent] = server.requests
    assert (sent.user_id, list(sent.item_ids)) == ("7", ["172", "9"])
    assert (sent.seen_items, sent.as_of_time) == (pb.SEEN_ITEMS_INCLUDE, Timestamp(seconds=NOON_S))


def test_similar_items_become_values(server: ScriptedServer, call: Call) -> None:
    item = pb.SimilarItem(item_id="172", title="Empire", categories=["Action"], similarity=0.75)
    server.answer(
        pb.SimilarItemsResponse(
            release_id="r1", items=[item], search_plan=filter_pb2.SEARCH_PLAN_SCAN, matching_item_count=4
        )
    )
    result = call("similar_items", item_id="50", limit=3, excluded_item_ids=["1"], conditions=[AnyOf("genre", ["a"])])
    assert result == SimilarResult("r1", (SimilarItem("172", "Empire", ("Action",), 0.75),), SearchPlan.SCAN, 4)
    [sent] = server.requests
    assert (sent.item_id, sent.limit, list(sent.excluded_item_ids)) == ("50", 3, ["1"])
    assert list(sent.filter.conditions[0].any_of.values) == ["a"]


def test_an_unknown_item_has_no_neighbours(server: ScriptedServer, call: Call) -> None:
    server.refuse(grpc.StatusCode.NOT_FOUND, "item '9' is not in the catalogue")
    with pytest.raises(NotFound, match="'9'"):
        call("similar_items", item_id="9")


# Streams

Stream = Callable[[Iterable[Question]], list[Answer]]


@pytest.fixture(params=["blocking", "asyncio"])
def stream(request: pytest.FixtureRequest, server: ScriptedServer) -> Stream:
    """All answers of a stream, through either client."""

    def blocking(questions: Iterable[Question]) -> list[Answer]:
        with UnbraidClient(server.target) as client:
            return list(client.stream_recommend(questions, timeout_s=TIMEOUT_S))

    async def awaited(questions: Iterable[Question]) -> list[Answer]:
        async def source() -> AsyncIterator[Question]:
            for question in questions:
                yield question

        async with AsyncUnbraidClient(server.target) as client:
            return [answer async for answer in client.stream_recommend(source(), timeout_s=TIMEOUT_S)]

    return blocking if request.param == "blocking" else lambda questions: asyncio.run(awaited(questions))


def answer_to(question_id: str) -> pb.StreamRecommendResponse:
    return pb.StreamRecommendResponse(outcomes=[pb.StreamedOutcome(question_id=question_id, response=ANSWERED)])


def test_answers_come_with_their_questions(server: ScriptedServer, stream: Stream) -> None:
    questions = [Question(user_id=str(number)) for number in range(3)]
    server.answer(answer_to("0"))
    server.answer(
        pb.StreamRecommendResponse(outcomes=[pb.StreamedOutcome(question_id="1", error=wrong("request.limit"))])
    )
    server.answer(answer_to("2"))
    first, refused, last = stream(questions)
    assert (first, last) == tuple(Answer(each, recommend_result(ANSWERED), None) for each in questions[::2])
    assert_refused(refused, questions[1], "request.limit")
    assert [(sent.question_id, sent.request.user_id) for sent in server.requests] == [
        ("0", "0"),
        ("1", "1"),
        ("2", "2"),
    ]


def test_a_stream_that_the_server_ends_raises_after_the_answers(server: ScriptedServer) -> None:
    server.answer(answer_to("0"))
    server.refuse(grpc.StatusCode.UNAVAILABLE, "the server stops")
    with UnbraidClient(server.target) as client:
        answers = client.stream_recommend(Question(user_id=str(number)) for number in range(5))
        assert next(answers).question.user_id == "0"
        with pytest.raises(Unavailable, match="the server stops"):
            next(answers)


def test_a_stream_that_was_not_answered_yet_is_opened_again(server: ScriptedServer, stream: Stream) -> None:
    server.refuse(grpc.StatusCode.UNAVAILABLE)
    server.answer(answer_to("0"))
    [answer] = stream([Question(user_id="7")])
    assert answer.unwrap().release_id == "r1"
    assert len(server.requests) == 2


def test_what_is_wrong_with_a_question_or_their_source_is_raised_after_the_answers(
    server: ScriptedServer, stream: Stream
) -> None:
    server.answer(answer_to("0"))

    def failing() -> Iterator[Question]:
        yield Question(user_id="7")
        raise OSError("the file is gone")

    with pytest.raises(OSError, match="the file is gone"):
        stream(failing())
    with pytest.raises(ValueError, match="either user_id or history"):
        stream([Question(user_id="7"), Question(), Question(user_id="8")])
    assert [sent.request.user_id for sent in server.requests] == ["7", "7"]


def test_an_iteration_that_is_stopped_ends_the_stream(server: ScriptedServer) -> None:
    server.answer(answer_to("0"))
    with UnbraidClient(server.target) as client:
        answers = client.stream_recommend(iter(lambda: Question(user_id="7"), None))
        next(answers)
        answers.close()  # type: ignore[attr-defined]  # a generator
        assert next(client.stream_recommend([Question(user_id="8")])).question.user_id == "8"
