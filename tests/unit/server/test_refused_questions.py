"""What RecommendationService refuses, over a real socket, and the largest and the furthest that it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from unbraid.v1 import filter_pb2
from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub

if TYPE_CHECKING:
    from tests.unit.server.conftest import Refused

NOW_S = 1_767_500_000


@pytest.fixture(scope="module")
def service(channel_v1: grpc.Channel) -> RecommendationServiceStub:
    return RecommendationServiceStub(channel_v1)


def event(item_id: str, time_s: int = NOW_S, action: str = "") -> pb.Event:
    return pb.Event(item_id=item_id, event_time=Timestamp(seconds=time_s), action=action)


def history(*events: pb.Event) -> pb.History:
    return pb.History(events=events)


TOO_EARLY, TOO_LATE = Timestamp(seconds=-62_135_596_801), Timestamp(seconds=253_402_300_800)
BAD_REQUESTS: list[tuple[str, pb.RecommendRequest | pb.GetInterestsRequest]] = [
    ("subject", pb.RecommendRequest()),
    ("subject", pb.GetInterestsRequest()),
    ("user_id", pb.RecommendRequest(user_id="")),
    ("user_id", pb.GetInterestsRequest(user_id="")),
    ("limit", pb.RecommendRequest(user_id="u", limit=-1)),
    ("evidence_limit", pb.GetInterestsRequest(user_id="u", evidence_limit=-5)),
    ("profile", pb.RecommendRequest(user_id="u", profile=17)),  # type: ignore[arg-type] # an unknown value
    ("seen_items", pb.RecommendRequest(user_id="u", seen_items=17)),  # type: ignore[arg-type] # an unknown value
    ("as_of_time.seconds", pb.RecommendRequest(user_id="u", as_of_time=TOO_LATE)),
    ("as_of_time.nanos", pb.GetInterestsRequest(user_id="u", as_of_time=Timestamp(nanos=-1))),
    ("excluded_item_ids[1]", pb.RecommendRequest(user_id="u", excluded_item_ids=["a", ""])),
    ("excluded_item_ids", pb.RecommendRequest(user_id="u", excluded_item_ids=["a"] * 10_001)),
    ("diversity", pb.RecommendRequest(user_id="u", diversity=-0.1)),
    ("diversity", pb.RecommendRequest(user_id="u", diversity=1.01)),
    ("diversity", pb.RecommendRequest(user_id="u", diversity=float("nan"))),
    ("balance", pb.RecommendRequest(user_id="u", balance=-0.1)),
    ("balance", pb.RecommendRequest(user_id="u", balance=1.01)),
    ("history.events", pb.RecommendRequest(history=pb.History(events=[event("k00")] * 10_001))),
    ("history.events[1].item_id", pb.RecommendRequest(history=history(event("k00"), event("")))),
    ("history.events[0].event_time", pb.RecommendRequest(history=history(pb.Event(item_id="k00")))),
    (
        "history.events[0].event_time.seconds",
        pb.GetInterestsRequest(history=history(pb.Event(item_id="k00", event_time=TOO_EARLY))),
    ),
    (
        "history.events[2].event_time.nanos",
        pb.RecommendRequest(
            history=history(
                event("k00"), event("k01"), pb.Event(item_id="k02", event_time=Timestamp(nanos=1_000_000_000))
            )
        ),
    ),
]


@pytest.mark.parametrize(("field", "request_"), BAD_REQUESTS)
def test_a_bad_request_is_refused_with_the_path_of_its_field(
    service: RecommendationServiceStub,
    refused: Refused,
    field: str,
    request_: pb.RecommendRequest | pb.GetInterestsRequest,
) -> None:
    def call() -> object:
        if isinstance(request_, pb.RecommendRequest):
            return service.Recommend(request_)
        return service.GetInterests(request_)

    refusal = refused(call)
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in refusal.bad_request.field_violations] == [field]
    assert refusal.message.startswith(f"{field}: ")


def test_a_number_that_is_barely_out_of_range_is_told_apart_from_the_end_of_the_range(
    service: RecommendationServiceStub, refused: Refused
) -> None:
    refusal = refused(lambda: service.Recommend(pb.RecommendRequest(user_id="u", balance=1.0000001)))
    assert refusal.message == "balance: 1.0000001 is out of range; send a number from 0 to 1"


def test_the_largest_documented_request_is_answered(service: RecommendationServiceStub) -> None:
    request = pb.RecommendRequest(
        history=pb.History(events=[event("k00" + "x" * 60, NOW_S - i, "purchase") for i in range(10_000)]),
        excluded_item_ids=[f"{i:064}" for i in range(10_000)],
        filter=filter_pb2.Filter(
            allowed_item_ids=[f"{i:064}" for i in range(10_000)],
            conditions=[
                filter_pb2.Condition(
                    attribute="categories",
                    none_of=filter_pb2.TextValues(values=[f"{position} {i:064}" for i in range(1_000)]),
                )
                for position in range(32)
            ],
        ),
    )
    assert service.Recommend(request).ignored_event_count == 10_000


@pytest.mark.parametrize("time_s", [-62_135_596_800, 253_402_300_799])
def test_the_first_and_the_last_moment_are_answered(service: RecommendationServiceStub, time_s: int) -> None:
    asked = history(event("k00", time_s))
    response = service.GetInterests(pb.GetInterestsRequest(history=asked, as_of_time=Timestamp(seconds=time_s)))
    assert response.interests[0].evidence[0].event_time.seconds == time_s
