"""StreamRecommend over a real socket: order, errors, limits, and how streams end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Event as Flag
from threading import Thread
from threading import enumerate as threads
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2, error_details_pb2

from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid_core.interest_cache import InterestCache
from unbraid_core.release import open_release
from unbraid_core.types import Query
from unbraid_server.active_model import ActiveModel
from unbraid_server.device import Device
from unbraid_server.logs import open_log
from unbraid_server.model import Model, load_model
from unbraid_server.outcomes import stream_recommend_responses
from unbraid_server.recommendation_service import STREAM_METHOD
from unbraid_server.recommender import Answer
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.server.conftest import Refused

TIMEOUT_S = 20.0
NOW = Timestamp(seconds=1_767_500_000)
ITEMS = [f"{kind}{number:02}" for kind in "kc" for number in range(12)]


@pytest.fixture(scope="module")
def service(channel_learned: grpc.Channel) -> RecommendationServiceStub:
    return RecommendationServiceStub(channel_learned)


def question(seed: int, event_count: int = 5) -> pb.RecommendRequest:
    rng = np.random.default_rng(seed)
    ages_s = rng.integers(10**6, size=event_count)
    events = [
        pb.Event(item_id=str(item_id), event_time=Timestamp(seconds=NOW.seconds - int(age_s)))
        for item_id, age_s in zip(rng.choice(ITEMS, event_count), ages_s, strict=True)
    ]
    return pb.RecommendRequest(history=pb.History(events=events), limit=24, as_of_time=NOW)


Opened = tuple[Server, RecommendationServiceStub]


@pytest.fixture
def serve(
    release_learned: Path, unchanged: SqliteCatalogueStore, state_v1: SqliteStateStore
) -> Iterator[Callable[..., Opened]]:
    """Starts servers with settings of their own, and stops them."""
    started: list[tuple[Server, grpc.Channel]] = []
    before = set(threads())

    def start(*, options: Sequence[tuple[str, int]] = (), **settings: int) -> Opened:
        model = load_model(open_release(release_learned), Device.CPU, InterestCache(10**6))
        server = Server(ActiveModel(model, unchanged), state_v1, ServerSettings(port=0, **settings), open_log("error"))
        channel = grpc.insecure_channel(f"127.0.0.1:{server.start()}", options)
        started.append((server, channel))
        return server, RecommendationServiceStub(channel)

    yield start
    for server, channel in started:
        channel.close()
        server.stop(grace_s=0)
    assert not [thread.name for thread in set(threads()) - before if thread.name.startswith("stream")]


class Asking:
    """The questions of a stream, asked when a test says so."""

    def __init__(self) -> None:
        self._questions: SimpleQueue[pb.StreamRecommendRequest | None] = SimpleQueue()

    def __iter__(self) -> Iterator[pb.StreamRecommendRequest]:
        while (asked := self._questions.get()) is not None:
            yield asked

    def ask(self, question_id: str, request: pb.RecommendRequest) -> None:
        self._questions.put(pb.StreamRecommendRequest(question_id=question_id, request=request))

    def end(self) -> None:
        self._questions.put(None)


def test_a_stream_is_answered_in_its_order_like_its_questions_one_by_one(service: RecommendationServiceStub) -> None:
    questions = [question(seed) for seed in range(100)]
    asked = (pb.StreamRecommendRequest(question_id=f"q{number}", request=each) for number, each in enumerate(questions))
    outcomes = [
        outcome for message in service.StreamRecommend(asked, timeout=TIMEOUT_S) for outcome in message.outcomes
    ]
    assert [outcome.question_id for outcome in outcomes] == [f"q{number}" for number in range(100)]
    for each, outcome in zip(questions, outcomes, strict=True):
        assert outcome.response == service.Recommend(each)


def test_an_answer_waits_for_no_other_question(service: RecommendationServiceStub) -> None:
    asking = Asking()
    answers = service.StreamRecommend(iter(asking), timeout=TIMEOUT_S)
    for number in range(3):
        asking.ask(f"{number}", question(number))
        [outcome] = next(answers).outcomes
        assert outcome.question_id == f"{number}"
    asking.end()
    assert list(answers) == []


def test_a_wrong_question_does_not_end_its_stream(service: RecommendationServiceStub) -> None:
    asked = [
        pb.StreamRecommendRequest(question_id="same", request=pb.RecommendRequest(user_id="u", limit=-1)),
        pb.StreamRecommendRequest(question_id="same", request=question(3)),
    ]
    messages = service.StreamRecommend(iter(asked), timeout=TIMEOUT_S)
    wrong, right = [outcome for message in messages for outcome in message.outcomes]
    assert (wrong.question_id, right.question_id) == ("same", "same")
    bad_request = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad_request) for detail in wrong.error.details)
    assert wrong.error.code == code_pb2.INVALID_ARGUMENT
    assert [violation.field for violation in bad_request.field_violations] == ["request.limit"]
    assert right.response == service.Recommend(question(3))


def test_bytes_that_are_no_message_end_the_stream_after_what_came_before(
    channel_learned: grpc.Channel, refused: Refused
) -> None:
    stream: grpc.StreamStreamMultiCallable[bytes, bytes] = channel_learned.stream_stream(STREAM_METHOD)
    right = pb.StreamRecommendRequest(question_id="right", request=question(2)).SerializeToString()
    answers = stream(iter([right, b"\xff"]), timeout=TIMEOUT_S)
    [outcome] = pb.StreamRecommendResponse.FromString(next(answers)).outcomes
    assert outcome.question_id == "right"
    refusal = refused(lambda: next(answers))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in refusal.bad_request.field_violations] == ["request"]


def test_an_id_that_is_too_long_ends_the_stream(service: RecommendationServiceStub, refused: Refused) -> None:
    asked = [pb.StreamRecommendRequest(question_id="é" * 129, request=question(0))]
    refusal = refused(lambda: list(service.StreamRecommend(iter(asked), timeout=TIMEOUT_S)))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in refusal.bad_request.field_violations] == ["question_id"]


def test_large_answers_come_in_messages_that_every_client_takes(model_learned: Model) -> None:
    query = Query(model_learned.history(ITEMS, [NOW.seconds] * 24, [""] * 24, None).history, NOW.seconds, 24, True)
    [ranking] = model_learned.pipeline.recommend([query])
    ids = [str(number) for number in range(1_000)]
    messages = [
        pb.StreamRecommendResponse.FromString(written)
        for written in stream_recommend_responses(ids, [Answer(model_learned, query, ranking, 0)] * 1_000)
    ]
    assert len(messages) > 1
    assert all(message.outcomes and message.ByteSize() < 1.1 * 2**20 for message in messages)
    assert [outcome.question_id for message in messages for outcome in message.outcomes] == ids


def test_a_batch_larger_than_the_queue_is_answered_beside_others(serve: Callable[..., Opened]) -> None:
    _, stub = serve(queue_limit=4)
    batch = pb.BatchRecommendRequest(requests=[question(seed) for seed in range(30)])
    calls = [stub.BatchRecommend.future(batch, timeout=TIMEOUT_S) for _ in range(2)]
    for call in calls:
        assert len(call.result().outcomes) == 30


def test_streams_beyond_the_limit_are_refused_and_others_are_answered(
    serve: Callable[..., Opened], refused: Refused
) -> None:
    _, stub = serve(max_streams=2)
    open_ones = []
    for number in range(2):
        asking = Asking()
        answers = stub.StreamRecommend(iter(asking), timeout=TIMEOUT_S)
        asking.ask("", question(number))
        next(answers)
        open_ones.append((asking, answers))
    refusal = refused(lambda: list(stub.StreamRecommend(iter([pb.StreamRecommendRequest()]), timeout=TIMEOUT_S)))
    assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refusal.retry.retry_delay.ToSeconds() > 0
    assert stub.Recommend(question(1), timeout=TIMEOUT_S).release_id
    for asking, answers in open_ones:
        asking.end()
        assert list(answers) == []


def test_a_server_that_stops_answers_what_has_arrived_and_ends_its_streams(
    serve: Callable[..., Opened], refused: Refused
) -> None:
    server, stub = serve()
    asking = Asking()
    answers = stub.StreamRecommend(iter(asking), timeout=TIMEOUT_S)
    asking.ask("first", question(0))
    assert next(answers).outcomes[0].question_id == "first"
    stopping = Thread(target=server.stop, args=(TIMEOUT_S,))
    stopping.start()
    refusal = refused(lambda: next(answers))
    assert refusal.code is grpc.StatusCode.UNAVAILABLE
    assert refusal.retry.retry_delay.ToSeconds() > 0
    stopping.join(TIMEOUT_S)
    assert not stopping.is_alive(), "within the grace, though the caller has not ended its stream"
    asking.end()


SMALL_BUFFERS = (("grpc.http2.lookahead_bytes", 1024), ("grpc.http2.bdp_probe", 0))


def test_a_caller_that_does_not_read_is_not_read_from_any_more(serve: Callable[..., Opened]) -> None:
    """What it has sent then is bounded: by the window, the batch that waits to be sent, and the buffers between."""
    _, stub = serve(batch_limit=4, options=SMALL_BUFFERS)
    sent, is_blocked = [0], Flag()
    shown = question(0, event_count=1_000)

    def flood() -> Iterator[pb.StreamRecommendRequest]:
        while not is_blocked.is_set():
            sent[0] += 1
            yield pb.StreamRecommendRequest(request=shown)

    answers = stub.StreamRecommend(flood(), timeout=TIMEOUT_S)
    before, unchanged_count = -1, 0
    while unchanged_count < 10:
        unchanged_count = unchanged_count + 1 if sent[0] == before else 0
        before = sent[0]
        is_blocked.wait(0.05)
    is_blocked.set()
    assert sum(len(message.outcomes) for message in answers) == sent[0]


def test_a_stream_whose_caller_leaves_while_answers_are_sent_is_counted(serve: Callable[..., Opened]) -> None:
    server, stub = serve(batch_limit=4, options=SMALL_BUFFERS)
    shown = question(0, event_count=1_000)
    answers = stub.StreamRecommend(iter(lambda: pb.StreamRecommendRequest(request=shown), None), timeout=TIMEOUT_S)
    next(answers)
    answers.cancel()
    labels = {"method": STREAM_METHOD, "code": "CANCELLED"}
    until_s = time.monotonic() + TIMEOUT_S
    while server.metrics.registry.get_sample_value("unbraid_calls_total", labels) != 1.0:
        assert time.monotonic() < until_s


def test_cancelled_streams_and_those_whose_time_is_up_leave_nothing_behind(
    serve: Callable[..., Opened], refused: Refused
) -> None:
    server, stub = serve(max_streams=4)
    endless = iter(lambda: pb.StreamRecommendRequest(request=question(2)), None)
    for number in range(24):
        answers = stub.StreamRecommend(endless, timeout=0.05 if number % 3 == 0 else TIMEOUT_S)
        if number % 3 == 0:
            assert refused(lambda: [None for _ in answers]).code is grpc.StatusCode.DEADLINE_EXCEEDED  # noqa: B023 - called at once
        elif number % 3 == 1:
            next(answers)
            answers.cancel()
        else:
            answers.cancel()
    asked = [pb.StreamRecommendRequest(request=question(seed)) for seed in range(9)]
    outcomes: list[pb.StreamedOutcome] = []
    while not outcomes:
        # Places get free when the server has noticed that callers have gone.
        with suppress(grpc.RpcError):
            outcomes = [each for message in stub.StreamRecommend(iter(asked)) for each in message.outcomes]
    assert len(outcomes) == 9
    server.stop(TIMEOUT_S)
