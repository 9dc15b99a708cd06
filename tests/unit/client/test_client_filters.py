"""What becomes of conditions on the way to a server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from unbraid.v1 import filter_pb2
from unbraid.v1 import recommendation_pb2 as pb
from unbraid_client import AllOf, AnyOf, IsSet, NoneOf, Numbers, Times

if TYPE_CHECKING:
    from tests.unit.client.conftest import Call, ScriptedServer

NOON_S = 893_419_200
NOON = datetime(1998, 4, 24, 12, tzinfo=UTC)


def test_every_condition_reaches_the_server(server: ScriptedServer, call: Call) -> None:
    server.answer(pb.RecommendResponse())
    conditions = [
        AnyOf("categories", ["Books", "Music"]),
        AllOf("tags", {"sale"}),
        NoneOf("brand", ("x",)),
        AnyOf("brand", []),
        Numbers("price", least=1, below=20.5),
        Numbers("price", above=0, most=9),
        Numbers("stock"),
        Times("created_time", NOON, NOON_S + 0.5),
        Times("created_time", end=NOON),
        IsSet("new"),
        IsSet("used", value=False),
    ]

    call("recommend", user_id="7", conditions=conditions, allowed_item_ids=iter(["1", "2"]))

    def texts(*values: str) -> filter_pb2.TextValues:
        return filter_pb2.TextValues(values=values)

    noon, later = Timestamp(seconds=NOON_S), Timestamp(seconds=NOON_S, nanos=500_000_000)
    assert server.requests[0].filter == filter_pb2.Filter(
        allowed_item_ids=["1", "2"],
        conditions=[
            filter_pb2.Condition(attribute="categories", any_of=texts("Books", "Music")),
            filter_pb2.Condition(attribute="tags", all_of=texts("sale")),
            filter_pb2.Condition(attribute="brand", none_of=texts("x")),
            filter_pb2.Condition(attribute="brand", any_of=texts()),
            filter_pb2.Condition(
                attribute="price", number_range=filter_pb2.NumberRange(min=1, max=20.5, excludes_max=True)
            ),
            filter_pb2.Condition(
                attribute="price", number_range=filter_pb2.NumberRange(min=0, max=9, excludes_min=True)
            ),
            filter_pb2.Condition(attribute="stock", number_range=filter_pb2.NumberRange()),
            filter_pb2.Condition(
                attribute="created_time", time_range=filter_pb2.TimeRange(start_time=noon, end_time=later)
            ),
            filter_pb2.Condition(attribute="created_time", time_range=filter_pb2.TimeRange(end_time=noon)),
            filter_pb2.Condition(attribute="new", is_set=True),
            filter_pb2.Condition(attribute="used", is_set=False),
        ],
    )


def test_two_bounds_of_one_side_are_a_value_error() -> None:
    with pytest.raises(ValueError, match="price: give least or above, not both"):
        Numbers("price", least=1, above=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"allowed_item_ids": []}, "allowed_item_ids: is empty, so nothing can come back"),
        ({"conditions": [Times("t", end=float("inf"))]}, r"conditions\[0\].end: inf is not a time"),
    ],
)
def test_a_filter_that_cannot_be_sent_is_a_value_error(
    server: ScriptedServer, call: Call, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        call("recommend", user_id="7", **arguments)
    assert server.requests == []
