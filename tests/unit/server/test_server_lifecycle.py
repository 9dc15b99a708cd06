"""A server's life: its port, calls in progress while it stops, too many calls, and errors that nobody expected."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from queue import Queue
from threading import Event as Flag
from threading import Thread
from typing import TYPE_CHECKING, NoReturn

import grpc
import pytest

from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid_core.errors import NotFound, Overloaded, Unavailable
from unbraid_core.ports import Event, StateStore, UserEvent
from unbraid_server.active_model import ActiveModel
from unbraid_server.logs import open_log
from unbraid_server.model import Model
from unbraid_server.server import MAX_REQUEST_BYTES, Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore

if TYPE_CHECKING:
    from tests.unit.server.conftest import Refused

TIMEOUT_S = 20.0
# What a call gets that comes while a server goes; clients retry both.
GONE = {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}
ANY_PORT = ServerSettings(port=0)
BY_ID = pb.RecommendRequest(user_id="u")


class GatedState:
    """A state store whose reads wait at a gate, so that a test decides how long a call takes."""

    def __init__(self) -> None:
        self.entered = Flag()
        self.gate = Flag()

    def append(self, events: Iterable[UserEvent]) -> int:
        raise NotImplementedError

    def read(self, user_id: str, limit: int) -> Sequence[Event]:
        self.entered.set()
        assert self.gate.wait(TIMEOUT_S)
        raise NotFound(f"user {user_id} first of {limit}")

    def delete_user(self, user_id: str) -> int:
        raise NotImplementedError

    def count_users(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing to release."""


class FailingState(GatedState):
    """A state store that fails in its own way."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def read(self, user_id: str, limit: int) -> Sequence[Event]:  # noqa: ARG002 - the port says how it is called
        raise self._error


Opened = tuple[Server, RecommendationServiceStub]


@pytest.fixture
def serve(model_v1: Model, unchanged: SqliteCatalogueStore) -> Iterator[Callable[..., Opened]]:
    """Starts servers over a given state store, and stops them."""
    started: list[tuple[Server, grpc.Channel]] = []

    def start(state: StateStore, settings: ServerSettings = ANY_PORT, level: str = "error") -> Opened:
        server = Server(ActiveModel(model_v1, unchanged), state, settings, open_log(level))
        channel = grpc.insecure_channel(f"127.0.0.1:{server.start()}")
        started.append((server, channel))
        return server, RecommendationServiceStub(channel)

    yield start
    for server, channel in started:
        channel.close()
        server.stop(grace_s=0)


def test_a_second_server_on_the_port_is_refused(model_v1: Model, unchanged: SqliteCatalogueStore) -> None:
    first = Server(ActiveModel(model_v1, unchanged), GatedState(), ANY_PORT, open_log("error"))
    port = first.start()
    second = Server(ActiveModel(model_v1, unchanged), GatedState(), ServerSettings(port=port), open_log("error"))
    with pytest.raises(Unavailable, match=f"cannot listen on 127.0.0.1:{port}"):
        second.start()
    first.stop(grace_s=0)


def call_until_refused(stub: RecommendationServiceStub) -> NoReturn:
    """A server stops accepting calls within moments of being told to."""
    while True:
        stub.Recommend(pb.RecommendRequest(history=pb.History()), timeout=TIMEOUT_S)


def test_a_call_in_progress_is_finished_while_the_server_stops(serve: Callable[..., Opened], refused: Refused) -> None:
    state = GatedState()
    server, stub = serve(state)
    call = stub.Recommend.future(BY_ID, timeout=TIMEOUT_S)
    assert state.entered.wait(TIMEOUT_S)
    stopping = Thread(target=server.stop, args=(TIMEOUT_S,))
    stopping.start()
    assert refused(lambda: call_until_refused(stub)).code in GONE
    assert stopping.is_alive()
    assert not call.done()
    state.gate.set()
    assert call.result().basis == pb.ANSWER_BASIS_POPULARITY
    stopping.join(TIMEOUT_S)
    server.wait()


def test_a_call_that_outlasts_the_grace_is_cancelled(serve: Callable[..., Opened], refused: Refused) -> None:
    state = GatedState()
    server, stub = serve(state)
    call = stub.Recommend.future(BY_ID, timeout=TIMEOUT_S)
    assert state.entered.wait(TIMEOUT_S)
    stopping = Thread(target=server.stop, args=(0.05,))
    stopping.start()
    assert refused(call.result).code in GONE
    state.gate.set()
    stopping.join(TIMEOUT_S)
    assert not stopping.is_alive()


def test_too_many_calls_at_once_are_refused(serve: Callable[..., Opened], refused: Refused) -> None:
    state = GatedState()
    _, stub = serve(state, ServerSettings(port=0, max_concurrent_calls=1))
    call = stub.Recommend.future(BY_ID, timeout=TIMEOUT_S)
    assert state.entered.wait(TIMEOUT_S)
    refusal = refused(lambda: stub.Recommend(BY_ID, timeout=TIMEOUT_S))
    assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refusal.info.reason == "OVERLOADED"
    assert refusal.retry.retry_delay.ToTimedelta() > timedelta(0)
    state.gate.set()
    assert call.result().release_id
    assert stub.Recommend(BY_ID, timeout=TIMEOUT_S).release_id, "the door is open again"


def test_of_many_calls_that_come_together_no_more_are_let_in_than_may_be(
    serve: Callable[..., Opened], refused: Refused
) -> None:
    state = GatedState()
    _, stub = serve(state, ServerSettings(port=0, max_concurrent_calls=3))
    ended: Queue[grpc.Future[pb.RecommendResponse]] = Queue()
    for _ in range(50):
        stub.Recommend.future(BY_ID, timeout=TIMEOUT_S).add_done_callback(ended.put)
    refusals = [refused(ended.get(timeout=TIMEOUT_S).result) for _ in range(47)]
    assert {refusal.info.reason for refusal in refusals} == {"OVERLOADED"}
    assert all(refusal.retry.retry_delay.ToTimedelta() > timedelta(0) for refusal in refusals)
    state.gate.set()
    assert all(ended.get(timeout=TIMEOUT_S).result().release_id for _ in range(3))


def test_a_caller_that_asks_more_than_others_leaves_places_to_them(
    serve: Callable[..., Opened], refused: Refused
) -> None:
    state = GatedState()
    _, stub = serve(state, ServerSettings(port=0, max_concurrent_calls=4))

    def ask(token: str) -> grpc.Future[pb.RecommendResponse]:
        return stub.Recommend.future(BY_ID, timeout=TIMEOUT_S, metadata=(("authorization", f"Bearer {token}"),))

    def let_in(token: str) -> grpc.Future[pb.RecommendResponse]:
        state.entered.clear()
        call = ask(token)
        assert state.entered.wait(TIMEOUT_S)
        return call

    calls = [let_in("seldom"), let_in("often"), let_in("often")]
    assert refused(ask("often").result).code is grpc.StatusCode.RESOURCE_EXHAUSTED
    calls.append(let_in("seldom"))
    assert refused(ask("seldom").result).code is grpc.StatusCode.RESOURCE_EXHAUSTED
    state.gate.set()
    assert all(call.result().release_id for call in calls)


def test_a_message_beyond_the_limits_is_refused(serve: Callable[..., Opened], refused: Refused) -> None:
    _, stub = serve(GatedState())
    too_large = pb.RecommendRequest(user_id="x" * MAX_REQUEST_BYTES)
    assert refused(lambda: stub.Recommend(too_large, timeout=TIMEOUT_S)).code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_an_unexpected_error_leaks_nothing_and_is_logged_with_its_traceback(
    serve: Callable[..., Opened], refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    _, stub = serve(FailingState(RuntimeError("the password is swordfish")))
    refusal = refused(lambda: stub.Recommend(BY_ID))
    assert refusal.code is grpc.StatusCode.INTERNAL
    assert "swordfish" not in str(refusal)
    [line] = capsys.readouterr().err.splitlines()
    logged = json.loads(line)
    assert logged["request_id"] == refusal.info.metadata["request_id"]
    assert (logged["level"], logged["code"]) == ("error", "INTERNAL")
    assert "swordfish" in logged["exception"]
    assert "Traceback" in logged["exception"]


def test_a_store_that_is_busy_makes_the_call_unavailable_and_tells_when_to_retry(
    serve: Callable[..., Opened], refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    _, stub = serve(FailingState(Unavailable("state.db: database is locked")), level="warning")
    refusal = refused(lambda: stub.Recommend(BY_ID))
    assert refusal.code is grpc.StatusCode.UNAVAILABLE
    assert refusal.retry.retry_delay.ToSeconds() > 0
    assert json.loads(capsys.readouterr().err)["level"] == "warning"


def test_refusals_of_an_overloaded_server_do_not_fill_its_log(
    serve: Callable[..., Opened], refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    _, stub = serve(FailingState(Overloaded("too much waits already", 0.5)), level="info")
    refusal = refused(lambda: stub.Recommend(BY_ID))
    assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refusal.retry.retry_delay.ToSeconds() >= 0
    assert capsys.readouterr().err == ""


def test_every_call_is_logged_at_debug_with_its_facts(
    serve: Callable[..., Opened], refused: Refused, model_v1: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    server, stub = serve(GatedState(), level="debug")
    stub.Recommend(pb.RecommendRequest(history=pb.History()))
    refused(lambda: stub.Recommend(pb.RecommendRequest()))
    server.stop(TIMEOUT_S)
    answered, turned_away = map(json.loads, capsys.readouterr().err.splitlines())
    assert answered["release_id"] == turned_away["release_id"] == model_v1.release_id
    assert answered["method"] == "/unbraid.v1.RecommendationService/Recommend"
    assert (answered["code"], answered["level"]) == ("OK", "debug")
    assert answered["duration_ms"] > 0
    assert (turned_away["code"], turned_away["level"]) == ("INVALID_ARGUMENT", "info")
    assert turned_away["error"].startswith("subject: ")
    assert answered["request_id"] != turned_away["request_id"]
