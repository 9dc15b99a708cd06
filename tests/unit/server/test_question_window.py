"""The window of a stream: full it takes nothing more in, and whoever waits at it learns when there is no point."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_core.errors import CallerGone, InvalidInput, Unavailable
from unbraid_server.question_window import QuestionWindow

TIMEOUT_S = 20.0


def question(question_id: str, event_count: int = 0) -> pb.StreamRecommendRequest:
    events = [pb.Event(item_id="i")] * event_count
    return pb.StreamRecommendRequest(
        question_id=question_id, request=pb.RecommendRequest(history=pb.History(events=events))
    )


def ids(window: QuestionWindow) -> list[str]:
    return [taken.question_id for taken in window.take()]


@pytest.fixture
def reader() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.mark.parametrize("event_count", [0, 15_000])
def test_a_full_window_lets_nothing_in_until_it_is_emptied(event_count: int, reader: ThreadPoolExecutor) -> None:
    window = QuestionWindow(2)
    assert window.put(question("a", event_count))
    assert window.put(question("b", event_count))
    third = reader.submit(window.put, question("c", event_count))
    assert not third.done()
    assert ids(window) == ["a", "b"]
    assert third.result(TIMEOUT_S)
    assert ids(window) == ["c"]


def test_a_question_larger_than_the_window_comes_alone(reader: ThreadPoolExecutor) -> None:
    window = QuestionWindow(8)
    assert window.put(question("small", 1))
    large = reader.submit(window.put, question("large", 40_000))
    assert ids(window) == ["small"]
    assert large.result(TIMEOUT_S)
    assert ids(window) == ["large"]


def test_what_has_arrived_is_taken_before_the_end() -> None:
    window = QuestionWindow(8)
    window.put(question("a"))
    window.end()
    assert ids(window) == ["a"]
    assert ids(window) == []


def test_what_was_wrong_with_the_next_question_is_said_after_those_before() -> None:
    window = QuestionWindow(4)
    window.put(question("a"))
    window.end(InvalidInput("request", "no message"))
    assert ids(window) == ["a"]
    with pytest.raises(InvalidInput, match="request: no message"):
        window.take()


def test_a_server_that_stops_lets_nothing_in_and_the_rest_out(reader: ThreadPoolExecutor) -> None:
    window = QuestionWindow(1)
    window.put(question("a"))
    waiting = reader.submit(window.put, question("b"))
    window.stop()
    assert not waiting.result(TIMEOUT_S)
    assert ids(window) == ["a"]
    with pytest.raises(Unavailable):
        window.take()


def test_a_stream_that_has_ended_is_not_interrupted_by_the_stop() -> None:
    window = QuestionWindow(1)
    window.end()
    window.stop()
    assert ids(window) == []


def test_where_the_caller_has_gone_nothing_is_taken(reader: ThreadPoolExecutor) -> None:
    window = QuestionWindow(1)
    window.put(question("a"))
    waiting = reader.submit(window.put, question("b"))
    window.leave()
    assert not waiting.result(TIMEOUT_S)
    with pytest.raises(CallerGone):
        window.take()
