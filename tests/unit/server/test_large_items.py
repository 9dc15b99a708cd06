"""Large items over real sockets: no answer is larger than what gRPC clients take, and nothing is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import pytest

from unbraid.v1 import catalogue_pb2 as pb
from unbraid.v1.catalogue_pb2_grpc import CatalogServiceStub
from unbraid_client import AsyncUnbraidClient, Item, ItemsResult, UnbraidClient
from unbraid_server.model import Model

if TYPE_CHECKING:
    from tests.unit.server.conftest import Listening

MOST_BYTES = 2 * 2**20
TITLE = "x" * 15_000
COUNT = 300
TIMEOUT_S = 20.0


@pytest.fixture
def target(listening: Listening, model_v1: Model) -> str:
    """A server with 4.5 MB of items besides those of its release, which is more than gRPC clients take by default."""
    address = f"127.0.0.1:{listening()}"
    with UnbraidClient(address) as client:
        large = [Item(item_id, TITLE, vector=[1.0] * 8) for item_id in item_ids()]
        client.upsert_items(large, space_id=model_v1.space_id, timeout_s=TIMEOUT_S)
    return address


def item_ids() -> list[str]:
    return [f"z{number:03}" for number in range(COUNT)]


def test_items_beyond_the_bound_are_left_to_the_next_call(target: str) -> None:
    asked = [each for item_id in item_ids() for each in (item_id, f"not {item_id}")]
    remaining = asked
    found: list[str] = []
    missing: list[str] = []
    sizes: list[int] = []
    with grpc.insecure_channel(target) as channel:
        while remaining:
            request = pb.GetItemsRequest(item_ids=remaining, include_vectors=True)
            answer = CatalogServiceStub(channel).GetItems(request, timeout=TIMEOUT_S)
            found += [item.item_id for item in answer.items]
            missing += answer.missing_item_ids
            sizes.append(sum(item.ByteSize() for item in answer.items))
            remaining = list(answer.remaining_item_ids)
    assert found == item_ids()
    assert missing == [f"not {item_id}" for item_id in item_ids()]
    assert len(sizes) == 3
    # As much as there is room for, and no more.
    assert all(MOST_BYTES - 2 * len(TITLE) < size <= MOST_BYTES for size in sizes[:-1])


def test_an_answer_of_small_items_leaves_none(target: str) -> None:
    request = pb.GetItemsRequest(item_ids=["k00", "nobody", "k01"])
    with grpc.insecure_channel(target) as channel:
        answer = CatalogServiceStub(channel).GetItems(request, timeout=TIMEOUT_S)
    assert [item.item_id for item in answer.items] == ["k00", "k01"]
    assert (list(answer.missing_item_ids), list(answer.remaining_item_ids)) == (["nobody"], [])


def test_both_clients_read_all_of_them(target: str) -> None:
    asked = ["nobody", *item_ids(), "nobody else"]

    async def read() -> ItemsResult:
        async with AsyncUnbraidClient(target) as client:
            return await client.get_items(asked, include_vectors=True, timeout_s=TIMEOUT_S)

    with UnbraidClient(target) as client:
        result = client.get_items(asked, include_vectors=True, timeout_s=TIMEOUT_S)
    assert [item.item_id for item in result.items] == item_ids()
    assert all(item.vector == pytest.approx((8**-0.5,) * 8) for item in result.items)
    assert result.missing_item_ids == ("nobody", "nobody else")
    assert asyncio.run(read()) == result
