"""Items that take several calls, through both clients: one answer, of one release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from unbraid.v1 import catalogue_pb2 as pb
from unbraid_client import Item, ItemsResult, Unavailable

if TYPE_CHECKING:
    from tests.unit.client.conftest import Call, ScriptedServer


def part(release_id: str, *item_ids: str, missing: str = "", remaining: str = "") -> pb.GetItemsResponse:
    """An answer; ids of a string are its letters."""
    return pb.GetItemsResponse(
        release_id=release_id,
        space_id=f"space of {release_id}",
        items=[pb.Item(item_id=item_id) for item_id in item_ids],
        missing_item_ids=missing,
        remaining_item_ids=remaining,
    )


def test_what_had_no_room_is_asked_for_until_everything_is_there(server: ScriptedServer, call: Call) -> None:
    server.answer(part("r1", "a", missing="b", remaining="cde"))
    server.answer(part("r1", "c", remaining="de"))
    server.answer(part("r1", "e", missing="d"))
    result = call("get_items", item_ids=iter("abcde"), include_vectors=True)
    assert result == ItemsResult("r1", "space of r1", (Item("a"), Item("c"), Item("e")), ("b", "d"))
    assert ["".join(request.item_ids) for request in server.requests] == ["abcde", "cde", "de"]
    assert all(request.include_vectors for request in server.requests)


def test_where_a_release_takes_over_between_two_calls_all_items_are_of_the_new_one(
    server: ScriptedServer, call: Call
) -> None:
    server.answer(part("r1", "a", remaining="bc"))
    server.answer(part("r2", "b", "c"))
    server.answer(part("r2", "a", "b", remaining="c"))
    server.answer(part("r2", "c"))
    result = call("get_items", item_ids=["a", "b", "c"])
    assert (result.release_id, [item.item_id for item in result.items]) == ("r2", ["a", "b", "c"])
    assert ["".join(request.item_ids) for request in server.requests] == ["abc", "bc", "abc", "c"]


def test_no_items_are_one_call_that_names_the_release(server: ScriptedServer, call: Call) -> None:
    server.answer(part("r1"))
    assert call("get_items", item_ids=[]) == ItemsResult("r1", "space of r1", (), ())
    assert len(server.requests) == 1


def test_a_call_that_fails_on_the_way_fails_the_whole(server: ScriptedServer, call: Call) -> None:
    server.answer(part("r1", "a", remaining="b"))
    server.refuse(grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(Unavailable):
        call("get_items", item_ids=["a", "b"], timeout_s=2.0)
