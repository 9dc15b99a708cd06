"""Filters over a real socket: only what matches comes back, and a refusal names the path of its field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from unbraid.v1 import filter_pb2 as pb
from unbraid.v1 import recommendation_pb2
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub

if TYPE_CHECKING:
    from tests.unit.server.conftest import Refused

NOW_S = 1_767_500_000
KITCHEN = [f"k{number:02}" for number in range(12)]
CYCLING = [f"c{number:02}" for number in range(12)]
# The release has categories, and price_cents of 500, 600, ... in the order of its rows.
PRICES = {item_id: 500 + 100 * row for row, item_id in enumerate(KITCHEN + CYCLING)}


@pytest.fixture(scope="module")
def service(channel_v1: grpc.Channel) -> RecommendationServiceStub:
    return RecommendationServiceStub(channel_v1)


def values(*names: str) -> pb.TextValues:
    return pb.TextValues(values=names)


def price(least: float | None = None, most: float | None = None, *, excluded: bool = False) -> pb.Condition:
    """A range without its bounds where they are excluded."""
    bounds = pb.NumberRange(min=least, max=most, excludes_min=excluded, excludes_max=excluded)
    return pb.Condition(attribute="price_cents", number_range=bounds)


def ask(
    service: RecommendationServiceStub,
    *conditions: pb.Condition,
    allowed: tuple[str, ...] = (),
    seen: tuple[str, ...] = ("k00", "c05"),
    limit: int = 24,
) -> recommendation_pb2.RecommendResponse:
    events = [recommendation_pb2.Event(item_id=item_id, event_time=Timestamp(seconds=NOW_S)) for item_id in seen]
    return service.Recommend(
        recommendation_pb2.RecommendRequest(
            history=recommendation_pb2.History(events=events),
            limit=limit,
            filter=pb.Filter(conditions=conditions, allowed_item_ids=allowed),
        )
    )


def ids(response: recommendation_pb2.RecommendResponse) -> set[str]:
    return {each.item_id for each in response.recommendations}


CASES: dict[str, tuple[pb.Condition, list[str]]] = {
    "any of": (pb.Condition(attribute="categories", any_of=values("kitchen", "attic")), KITCHEN),
    "all of": (pb.Condition(attribute="categories", all_of=values("kitchen", "cycling")), []),
    "none of": (pb.Condition(attribute="categories", none_of=values("kitchen")), CYCLING),
    "at least": (price(2000), CYCLING[3:]),
    "more than": (price(2000, excluded=True), CYCLING[4:]),
    "at most": (price(most=700), KITCHEN[:3]),
    "less than": (price(most=700, excluded=True), KITCHEN[:2]),
    "from 0 to": (price(0, 600), KITCHEN[:2]),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seen", [("k00", "c05"), ()])
def test_only_what_matches_comes_back_and_all_of_it(
    service: RecommendationServiceStub, case: str, seen: tuple[str, ...]
) -> None:
    condition, matching = CASES[case]
    response = ask(service, condition, seen=seen)
    assert ids(response) == set(matching) - set(seen)
    assert response.matching_item_count == len(matching)
    assert response.exhausted
    if seen:
        assert response.search_plan == pb.SEARCH_PLAN_SCAN
    else:
        assert not response.HasField("search_plan")


def test_all_conditions_and_the_listed_items_have_to_agree(service: RecommendationServiceStub) -> None:
    condition = pb.Condition(attribute="categories", any_of=values("kitchen"))
    response = ask(service, condition, price(most=900), allowed=("k00", "k01", "k02", "k11", "c03", "unknown"))
    assert ids(response) == {"k01", "k02"}
    assert response.matching_item_count == 3


def test_items_that_nobody_knows_allow_nothing(service: RecommendationServiceStub) -> None:
    response = ask(service, allowed=("unknown",))
    assert not response.recommendations
    assert response.HasField("matching_item_count")
    assert response.matching_item_count == 0
    assert response.exhausted


def test_a_full_list_is_not_exhausted_and_an_unfiltered_one_counts_no_matches(
    service: RecommendationServiceStub,
) -> None:
    assert not ask(service, price(600), limit=20).exhausted
    unfiltered = ask(service, limit=22)
    assert not unfiltered.exhausted
    assert not unfiltered.HasField("matching_item_count")
    assert unfiltered.search_plan == pb.SEARCH_PLAN_INDEX
    assert ask(service, limit=23).exhausted


def text(*names: str) -> pb.Condition:
    return pb.Condition(attribute="categories", any_of=values(*names))


BAD_FILTERS: list[tuple[str, str, list[pb.Condition], list[str]]] = [
    ("filter.conditions", "send from 1 to 32", [text("x")] * 33, []),
    (
        "filter.conditions[1]",
        "asks nothing about 'categories'; set one of any_of, all_of, none_of, number_range, time_range, is_set",
        [text("x"), pb.Condition(attribute="categories")],
        [],
    ),
    ("filter.conditions[0]", "names no value", [text()], []),
    ("filter.conditions[0]", "names 1001 values; name at most 1000", [text(*map(str, range(1001)))], []),
    ("filter.conditions[0]", "has no bound", [price()], []),
    ("filter.conditions[0]", "the least value is nan", [price(float("nan"))], []),
    ("filter.conditions[0]", "nothing lies from 3.0 to 2.0", [price(3, 2)], []),
    (
        "filter.conditions[0].attribute",
        "did you mean 'price_cents'?",
        [pb.Condition(attribute="price", number_range=pb.NumberRange(min=1))],
        [],
    ),
    ("filter.conditions[0]", "'price_cents' is a number", [pb.Condition(attribute="price_cents", is_set=True)], []),
    (
        "filter.conditions[0].time_range.end_time.nanos",
        "is outside",
        [pb.Condition(attribute="x", time_range=pb.TimeRange(end_time=Timestamp(nanos=-1)))],
        [],
    ),
    ("filter.allowed_item_ids", "10001 ids; send at most 10000", [], ["k00"] * 10_001),
    ("filter.allowed_item_ids[1]", "is empty", [], ["k00", ""]),
]


@pytest.mark.parametrize(("field", "problem", "conditions", "allowed"), BAD_FILTERS)
def test_a_bad_filter_is_refused_with_the_path_of_its_field(
    service: RecommendationServiceStub,
    refused: Refused,
    field: str,
    problem: str,
    conditions: list[pb.Condition],
    allowed: list[str],
) -> None:
    refusal = refused(lambda: ask(service, *conditions, allowed=tuple(allowed)))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in refusal.bad_request.field_violations] == [field]
    assert problem in refusal.message


def test_a_time_range_ends_before_its_end(service: RecommendationServiceStub, refused: Refused) -> None:
    moment = Timestamp(seconds=5)
    condition = pb.Condition(attribute="x", time_range=pb.TimeRange(start_time=moment, end_time=moment))
    assert "nothing lies from 5.0 to 5.0" in refused(lambda: ask(service, condition)).message
