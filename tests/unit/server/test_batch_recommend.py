"""BatchRecommend over a real socket: each question is answered like alone, and fails alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2, error_details_pb2, status_pb2

from unbraid.v1 import filter_pb2
from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid_core.ports import Event, UserEvent
from unbraid_server.model import Model
from unbraid_server.sqlite_state import SqliteStateStore

if TYPE_CHECKING:
    from tests.unit.server.conftest import Refused

NOW = Timestamp(seconds=1_767_500_000)
ITEMS = [f"{kind}{number:02}" for kind in "kc" for number in range(12)]


@pytest.fixture(scope="module")
def service(channel_learned: grpc.Channel, state_v1: SqliteStateStore) -> Iterator[RecommendationServiceStub]:
    state_v1.append(
        UserEvent("batch-user", Event(item_id, NOW.seconds - age_s, "view"))
        for item_id, age_s in [("c05", 86_400.0), ("k01", 3_600.0)]
    )
    yield RecommendationServiceStub(channel_learned)
    state_v1.delete_user("batch-user")


def question(seed: int) -> pb.RecommendRequest:
    """Questions of all kinds: histories, users, nobody, filters, diversity, both profiles."""
    rng = np.random.default_rng(seed)
    request = pb.RecommendRequest(limit=int(rng.integers(1, 24)), as_of_time=NOW, profile=int(rng.integers(0, 3)))  # type: ignore[arg-type]  # a value of the enum
    match seed % 4:
        case 0:
            request.user_id = "batch-user"
        case 1:
            request.user_id = "nobody"
        case _:
            request.history.SetInParent()
            for item_id in rng.choice(ITEMS, rng.integers(0, 9)):
                request.history.events.add(
                    item_id=str(item_id), event_time=Timestamp(seconds=NOW.seconds - int(rng.integers(10**6)))
                )
    if seed % 3 == 0:
        request.filter.conditions.add(attribute="categories").none_of.values.append("lights")
    request.diversity = float(seed % 2) / 2
    request.seen_items = pb.SEEN_ITEMS_INCLUDE if seed % 5 else pb.SEEN_ITEMS_EXCLUDE
    return request


WRONG = [
    ("limit", pb.RecommendRequest(user_id="u", limit=-1)),
    ("subject", pb.RecommendRequest()),
    (
        "filter.conditions[0].attribute",
        pb.RecommendRequest(
            user_id="u",
            filter=filter_pb2.Filter(conditions=[filter_pb2.Condition(attribute="colour", is_set=True)]),
        ),
    ),
]


def wrong_fields(status: status_pb2.Status) -> list[str]:
    bad_request = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad_request) for detail in status.details)
    return [violation.field for violation in bad_request.field_violations]


def test_a_batch_is_answered_like_its_questions_one_by_one(
    service: RecommendationServiceStub, model_learned: Model
) -> None:
    questions = [question(seed) for seed in range(70)]
    response = service.BatchRecommend(pb.BatchRecommendRequest(requests=questions))
    assert response.release_id == model_learned.release_id
    for asked, outcome in zip(questions, response.outcomes, strict=True):
        assert outcome.response == service.Recommend(asked)


def test_a_wrong_question_fails_alone(service: RecommendationServiceStub) -> None:
    questions = [question(0)]
    for _, wrong in WRONG:
        questions += [wrong, question(2)]
    outcomes = service.BatchRecommend(pb.BatchRecommendRequest(requests=questions)).outcomes
    kinds = [outcome.WhichOneof("outcome") for outcome in outcomes]
    assert kinds == ["response", *["error", "response"] * len(WRONG)]
    for position, (field, _) in enumerate(WRONG):
        at = 1 + 2 * position
        error = outcomes[at].error
        assert error.code == code_pb2.INVALID_ARGUMENT
        assert error.message.startswith(f"requests[{at}].{field}: ")
        assert wrong_fields(error) == [f"requests[{at}].{field}"]


def many_events(count: int) -> pb.RecommendRequest:
    request = pb.RecommendRequest(limit=1)
    request.history.events.extend([pb.Event(item_id="k00", event_time=NOW)] * count)
    return request


def with_values(count: int) -> pb.RecommendRequest:
    request = pb.RecommendRequest(user_id="u", limit=1)
    for _ in range(count // 1_000):
        request.filter.conditions.add(attribute="categories").none_of.values.extend(["x"] * 1_000)
    return request


TOO_MUCH = {
    "at least one": [],
    "257 questions": [pb.RecommendRequest(user_id="u")] * 257,
    "30001 events and listed item ids": [many_events(10_000)] * 3 + [many_events(1)],
    "33000 values in filters": [with_values(32_000), with_values(1_000)],
    "20001 items": [pb.RecommendRequest(user_id="u", limit=600)] * 40 + [pb.RecommendRequest(user_id="u", limit=1)],
}


@pytest.mark.parametrize("problem", TOO_MUCH)
def test_a_batch_beyond_the_limits_is_refused(
    service: RecommendationServiceStub, refused: Refused, problem: str
) -> None:
    refusal = refused(lambda: service.BatchRecommend(pb.BatchRecommendRequest(requests=TOO_MUCH[problem])))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert problem in refusal.message
    assert [violation.field for violation in refusal.bad_request.field_violations] == ["requests"]


def test_the_largest_batches_are_answered(service: RecommendationServiceStub) -> None:
    by_count = service.BatchRecommend(pb.BatchRecommendRequest(requests=[pb.RecommendRequest(user_id="u")] * 256))
    assert len(by_count.outcomes) == 256
    by_size = service.BatchRecommend(pb.BatchRecommendRequest(requests=[many_events(10_000)] * 3))
    assert [len(outcome.response.recommendations) for outcome in by_size.outcomes] == [1, 1, 1]
