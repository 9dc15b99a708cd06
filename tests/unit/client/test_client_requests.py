"""What the clients send."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_client import (
    Event,
    Profile,
    UnbraidClient,
)

if TYPE_CHECKING:
    from tests.unit.client.conftest import Call, ScriptedServer

NOON_S = 893_419_200
NOON = datetime(1998, 4, 24, 12, tzinfo=UTC)


def test_every_argument_of_recommend_reaches_the_server(server: ScriptedServer, call: Call) -> None:
    server.answer(pb.RecommendResponse())

    call(
        "recommend",
        user_id="7",
        limit=5,
        as_of=NOON,
        include_seen=True,
        excluded_item_ids={"50"},
        profile=Profile.LEARNED,
        diversity=0.25,
        balance=0.5,
    )
    call("recommend", user_id="7")

    everything, defaults = server.requests
    assert everything == pb.RecommendRequest(
        user_id="7",
        limit=5,
        as_of_time=Timestamp(seconds=NOON_S),
        seen_items=pb.SEEN_ITEMS_INCLUDE,
        excluded_item_ids=["50"],
        profile=pb.RANKING_PROFILE_LEARNED,
        diversity=0.25,
        balance=0.5,
    )
    assert defaults == pb.RecommendRequest(user_id="7", limit=20, seen_items=pb.SEEN_ITEMS_EXCLUDE)


def test_a_history_can_mix_events_tuples_and_kinds_of_time(server: ScriptedServer, call: Call) -> None:
    server.answer(pb.GetInterestsResponse())
    in_tokyo = NOON.astimezone(timezone(timedelta(hours=9)))

    call("get_interests", history=iter([Event("1", NOON, "view"), ("2", in_tokyo), ("3", NOON_S + 0.5, "buy")]))

    assert server.requests[0].history == pb.History(
        events=[
            pb.Event(item_id="1", event_time=Timestamp(seconds=NOON_S), action="view"),
            pb.Event(item_id="2", event_time=Timestamp(seconds=NOON_S)),
            pb.Event(item_id="3", event_time=Timestamp(seconds=NOON_S, nanos=500_000_000), action="buy"),
        ]
    )


def test_an_empty_history_is_a_history(server: ScriptedServer, call: Call) -> None:
    server.answer(pb.RecommendResponse())

    call("recommend", history=[])

    assert server.requests[0].WhichOneof("subject") == "history"


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(time_s=st.floats(min_value=-2.2e9, max_value=4.2e9))
def test_epoch_seconds_survive_the_wire(server: ScriptedServer, time_s: float) -> None:
    server.answer(pb.RecommendResponse())
    with UnbraidClient(server.target) as client:
        client.recommend(history=[("1", time_s)])

    sent = server.requests[-1].history.events[0].event_time

    assert sent.seconds + sent.nanos / 1e9 == pytest.approx(time_s, rel=0, abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either user_id or history"),
        ({"user_id": "7", "history": []}, "either user_id or history"),
        ({"user_id": "7", "as_of": datetime(1998, 4, 24)}, "as_of: 1998-04-24T00:00:00 has no time zone"),  # noqa: DTZ001
        ({"user_id": "7", "profile": Profile.UNKNOWN}, "cannot be asked for; use formula or learned"),
        ({"history": [("1", NOON), ("2", float("nan"))]}, r"history\[1\].time: nan is not a time"),
        ({"history": [("1", NOON_S * 1000)]}, r"history\[0\].time: 893419200000 is not a time in epoch seconds"),
    ],
)
def test_a_question_that_cannot_be_sent_is_a_value_error(
    server: ScriptedServer, call: Call, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        call("recommend", **arguments)
    assert server.requests == []


@pytest.mark.parametrize("credentials", [grpc.local_server_credentials()])
def test_a_channel_with_credentials(server: ScriptedServer) -> None:
    server.answer(pb.RecommendResponse(release_id="r1"))

    with UnbraidClient(server.target, credentials=grpc.local_channel_credentials()) as client:
        assert client.recommend(user_id="7").release_id == "r1"
