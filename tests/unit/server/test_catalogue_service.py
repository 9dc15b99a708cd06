"""CatalogService over a real socket: what is changed, what is refused and how, and what can be read."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pytest

from unbraid.v1 import catalogue_pb2 as pb
from unbraid.v1 import recommendation_pb2, status_pb2
from unbraid.v1.catalogue_pb2_grpc import CatalogServiceStub
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid.v1.status_pb2_grpc import StatusServiceStub
from unbraid_client import AttributeValue, Conflict, InvalidRequest, Item, UnbraidClient
from unbraid_core.catalogue import Catalogue
from unbraid_core.live import limits
from unbraid_core.release import Release, open_release
from unbraid_server.active_model import ActiveModel
from unbraid_server.device import Device
from unbraid_server.logs import open_log
from unbraid_server.model import Model, load_model
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore

MADE = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
RED: dict[str, AttributeValue] = {
    "colour": "red",
    "price": 9.5,
    "stock": 3,
    "new": True,
    "made": MADE,
    "tags": ("a", "b"),
}


@contextmanager
def serving(model: Model, catalogue: SqliteCatalogueStore, state: SqliteStateStore) -> Iterator[str]:
    server = Server(ActiveModel(model, catalogue), state, ServerSettings(port=0), open_log("critical"))
    yield f"127.0.0.1:{server.start()}"
    server.stop(grace_s=0)


def with_attributes(release: Release) -> Release:
    """The committed release, with a column of every type behind those that it has."""
    types: dict[str, pa.DataType] = {
        "colour": pa.string(),
        "price": pa.float64(),
        "stock": pa.int32(),
        "new": pa.bool_(),
        "made": pa.timestamp("us", "UTC"),
        "tags": pa.list_(pa.string()),
    }
    table = release.catalogue.table
    for name, kind in types.items():
        table = table.append_column(name, pa.array([None] * len(table), kind))
    return replace(release, catalogue=Catalogue(table))


def with_unsendable(release: Release) -> Release:
    """The committed release, with columns of which no value is an attribute value."""
    columns: dict[str, pa.Array[Any]] = {
        "embedding": pa.array([[0.5, 1.0]] * len(release.catalogue)),
        "measures": pa.array([{"height": 1.0}] * len(release.catalogue)),
        "nothing": pa.nulls(len(release.catalogue)),
    }
    table = release.catalogue.table
    for name, column in columns.items():
        table = table.append_column(name, column)
    return replace(release, catalogue=Catalogue(table))


@pytest.fixture(scope="module")
def model(release_v1: Path) -> Model:
    return load_model(with_attributes(open_release(release_v1)), Device.CPU)


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[SqliteCatalogueStore]:
    store = SqliteCatalogueStore(tmp_path / "catalogue.sqlite")
    yield store
    store.close()


@pytest.fixture
def target(model: Model, catalogue: SqliteCatalogueStore, state_v1: SqliteStateStore) -> Iterator[str]:
    with serving(model, catalogue, state_v1) as address:
        yield address


@pytest.fixture
def client(target: str) -> Iterator[UnbraidClient]:
    with UnbraidClient(target) as opened:
        yield opened


@pytest.fixture(scope="module")
def unchanged_client(
    model: Model, unchanged: SqliteCatalogueStore, state_v1: SqliteStateStore
) -> Iterator[UnbraidClient]:
    """For calls that are refused."""
    with serving(model, unchanged, state_v1) as address, UnbraidClient(address) as opened:
        yield opened


def vector_of(model: Model, item_id: str) -> list[float]:
    [vector_D] = model.released.item_vectors_ID[model.catalogue.rows([item_id])].tolist()
    numbers: list[float] = vector_D
    return numbers


def test_an_upserted_item_is_read_back_as_it_was_sent(client: UnbraidClient, model: Model) -> None:
    long = [3.0 * number for number in vector_of(model, "k03")]
    sent = Item("new", "A new one", ("jazz", "kitchen"), RED, long)
    result = client.upsert_items([sent], space_id=model.space_id)
    assert (result.release_id, result.added_count, result.sequence) == (model.release_id, 1, 1)
    [item] = client.get_items(["new"], include_vectors=True).items
    assert (item.item_id, item.title, item.categories, item.attributes) == ("new", "A new one", sent.categories, RED)
    assert item.vector == pytest.approx(vector_of(model, "k03"), rel=1e-6)


def test_what_was_changed_and_deleted_shows_in_recommendations_at_once(client: UnbraidClient, model: Model) -> None:
    client.upsert_items([Item("twin", "the twin", vector=vector_of(model, "k03"))], space_id=model.space_id)
    client.upsert_items([Item("k04", "on sale")])
    before = {each.item_id: each for each in client.recommend(history=[("k03", 1.0)], limit=500).recommendations}
    assert before["twin"].title == "the twin"
    assert before["k04"].title == "on sale"
    assert client.delete_items(["twin", "k04", "k05", "nobody"]).deleted_count == 3
    after = {each.item_id for each in client.recommend(history=[("k03", 1.0)], limit=500).recommendations}
    assert after == before.keys() - {"twin", "k04", "k05"}
    assert client.get_items(["k05", "k06"]).missing_item_ids == ("k05",)


def test_changing_what_an_item_says_keeps_its_place(client: UnbraidClient, model: Model) -> None:
    client.upsert_items([Item("k00", "first", vector=vector_of(model, "c05"))], space_id=model.space_id)
    result = client.upsert_items([Item("k00", "second")])
    assert result.added_count == 0
    [item] = client.get_items(["k00"], include_vectors=True).items
    assert item.title == "second"
    assert item.vector == pytest.approx(vector_of(model, "c05"), rel=1e-6)


def test_the_same_call_again_changes_nothing_but_the_number(client: UnbraidClient, model: Model) -> None:
    def answers() -> object:
        recommended = client.recommend(history=[("k03", 1.0)], limit=30, as_of=2.0)
        return [(each.item_id, each.score) for each in recommended.recommendations], client.list_items().items

    for _ in range(2):
        client.upsert_items([Item("new", "A", attributes=RED, vector=[1.0] * 8)], space_id=model.space_id)
        client.delete_items(["k01"])
        assert client.get_status().catalogue.changed_item_count == 1
    once = answers()
    client.upsert_items([Item("new", "A", attributes=RED, vector=[1.0] * 8)], space_id=model.space_id)
    client.delete_items(["k01"])
    assert answers() == once


def test_a_deleted_item_comes_back_with_a_vector_only(client: UnbraidClient, model: Model) -> None:
    client.delete_items(["k00"])
    with pytest.raises(
        InvalidRequest, match=r"items\[0\]\.vector: is missing, and 'k00' was deleted, .*; send its vector"
    ):
        client.upsert_items([Item("k00", "Back")])
    assert client.upsert_items([Item("k00", "Back", vector=[1.0] * 8)], space_id=model.space_id).added_count == 1
    assert client.get_items(["k00"]).items[0].title == "Back"


REFUSED = [
    ([Item("")], "items[0].item_id", "is empty"),
    ([Item("x" * 513)], "items[0].item_id", "longer than 512 bytes"),
    ([Item("k00"), Item("k01"), Item("k00")], "items[2].item_id", "'k00' is items[0].item_id already"),
    ([Item("k00", "x" * 20_000)], "items[0]", "send at most 16384"),
    ([Item("k00", categories=["c"] * 1001)], "items[0].categories", "1001 values"),
    ([Item(f"k{n}") for n in range(1001)], "items", "1001 items; send at most 1000"),
    ([Item("k00"), Item("unheard")], "items[1].vector", "'unheard' is a new item, or one that was deleted; send"),
    ([Item("k00", vector=[1.0] * 7)], "items[0].vector", "7 numbers (28 bytes); send 8 little-endian float32"),
    ([Item("k00", vector=[0.0] * 8)], "items[0].vector", "is zero"),
    ([Item("k00", vector=[float("nan")] * 8)], "items[0].vector", "holds NaN or infinity"),
    ([Item("k00", vector=[float("inf")] * 8)], "items[0].vector", "holds NaN or infinity"),
    ([Item("k00", attributes={"size": 3})], "items[0].attributes['size']", "no such attribute; it has 'price_cents', "),
    ([Item("k00", attributes={"title": "x"})], "items[0].attributes['title']", "no such attribute"),
    ([Item("k00", attributes={"stock": 3.5})], "items[0].attributes['stock']", "3.5 does not fit; in this catalogue"),
    ([Item("k00", attributes={"stock": 2**40})], "items[0].attributes['stock']", "it is an integer"),
    ([Item("k00", attributes={"colour": 3})], "items[0].attributes['colour']", "it is a string"),
    ([Item("k00", attributes={"made": 3})], "items[0].attributes['made']", "it is a time"),
    ([Item("k00", attributes={"price": float("inf")})], "items[0].attributes['price']", "inf is not a number"),
]


@pytest.mark.parametrize(("items", "field", "problem"), REFUSED, ids=[f"{each[1]}: {each[2][:20]}" for each in REFUSED])
def test_a_wrong_item_is_named_and_nothing_is_taken(
    unchanged_client: UnbraidClient, model: Model, items: list[Item], field: str, problem: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        unchanged_client.upsert_items(items, space_id=model.space_id)
    [violation] = refused.value.details.violations
    assert violation.field == field
    assert problem in violation.description
    assert unchanged_client.get_status().catalogue.sequence == 0


def test_a_vector_of_another_space_is_refused(unchanged_client: UnbraidClient, model: Model) -> None:
    with pytest.raises(InvalidRequest, match=f"space_id: 'yesterday' is not the space of release {model.release_id}"):
        unchanged_client.upsert_items([Item("k00", vector=[1.0] * 8)], space_id="yesterday")


def test_an_attribute_without_a_value_is_refused(target: str, model: Model) -> None:
    item = pb.Item(item_id="k00", attributes={"colour": pb.AttributeValue()})
    with grpc.insecure_channel(target) as channel, pytest.raises(grpc.RpcError) as refused:
        CatalogServiceStub(channel).UpsertItems(pb.UpsertItemsRequest(items=[item], space_id=model.space_id))
    assert "has no value" in str(refused.value)


def test_past_the_bound_upserts_are_refused_and_deletions_are_not(
    client: UnbraidClient, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_ADDED_ITEMS", 3)
    monkeypatch.setattr(limits, "LEAST_TOLERATED", 2)
    client.upsert_items([Item(f"n{n}", vector=[1.0 + n] * 7 + [1.0]) for n in range(3)], space_id=model.space_id)
    with pytest.raises(Conflict, match=r"at most 3 can be; run: unbraid index rebuild --activate"):
        client.upsert_items([Item("k00", "changed")])
    assert client.upsert_items([Item("n1", "changed again")]).added_count == 0
    assert "run: unbraid index rebuild" in client.get_status().catalogue.rebuild_reason
    client.delete_items(["n0"])
    assert client.upsert_items([Item("k00", "changed")]).added_count == 0


def test_pages_list_every_item_once_whatever_changes_meanwhile(client: UnbraidClient, model: Model) -> None:
    ids = sorted(model.catalogue.ids(np.arange(24)))
    first = client.list_items(page_size=10)
    assert [item.item_id for item in first.items] == ids[:10]
    assert first.item_count == 24
    client.upsert_items([Item("c01", "listed already"), Item("k05", "not listed yet")])
    client.upsert_items([Item("zz", vector=[1.0] * 8), Item("a", vector=[1.0] * 8)], space_id=model.space_id)
    client.delete_items([ids[9], ids[15]])
    second = client.list_items(page_size=10, page_token=first.next_page_token)
    third = client.list_items(page_size=10, page_token=second.next_page_token)
    listed = [item.item_id for page in (second, third) for item in page.items]
    assert listed == [*(item_id for item_id in ids[10:] if item_id != ids[15]), "zz"]
    titles = {item.item_id: item.title for page in (second, third) for item in page.items}
    assert titles["k05"] == "not listed yet"
    assert third.next_page_token == ""


def test_a_page_of_large_items_is_short_and_none_is_left_out(client: UnbraidClient, model: Model) -> None:
    large = [Item(f"z{number:03}", "x" * 15_000, vector=[1.0] * 8) for number in range(300)]
    client.upsert_items(large, space_id=model.space_id)
    first = client.list_items(page_size=1000)
    rest = client.list_items(page_size=1000, page_token=first.next_page_token)
    listed = [item.item_id for page in (first, rest) for item in page.items]
    while rest.next_page_token:
        rest = client.list_items(page_size=1000, page_token=rest.next_page_token)
        listed += [item.item_id for item in rest.items]
    assert sum(len(item.title) for item in first.items) < 2 * 2**20 < sum(len(item.title or "") for item in large)
    assert listed == sorted(listed)
    assert len(listed) == first.item_count == 324


@pytest.mark.parametrize("token", ["x", "AAAA", "bm90IG91cnM=", "ümlaut", "k00"])
def test_a_token_that_is_none_is_refused(unchanged_client: UnbraidClient, token: str) -> None:
    with pytest.raises(InvalidRequest, match="page_token: is none that this server gave out"):
        unchanged_client.list_items(page_token=token)


def test_a_negative_page_size_is_refused(unchanged_client: UnbraidClient) -> None:
    with pytest.raises(InvalidRequest, match="page_size: -1 is negative"):
        unchanged_client.list_items(page_size=-1)


def test_another_server_on_the_same_file_and_a_restarted_one_see_the_changes(
    model: Model, state_v1: SqliteStateStore, client: UnbraidClient, tmp_path: Path
) -> None:
    client.upsert_items([Item("new", "A", attributes=RED, vector=[1.0] * 8)], space_id=model.space_id)
    client.delete_items(["k00"])
    other = SqliteCatalogueStore(tmp_path / "catalogue.sqlite")
    with serving(model, other, state_v1) as address, UnbraidClient(address) as second:
        assert second.list_items(page_size=1000).items == client.list_items(page_size=1000).items
        # What another process stored a moment ago counts as known, even before this one has looked for it.
        client.upsert_items([Item("newer", vector=[1.0] * 7 + [2.0])], space_id=model.space_id)
        assert second.upsert_items([Item("newer", "renamed")]).added_count == 0
    other.close()


def test_a_call_that_deletes_while_others_ask_is_followed_by_no_answer_with_the_item(target: str) -> None:
    with grpc.insecure_channel(target) as channel:
        ask, change = RecommendationServiceStub(channel), CatalogServiceStub(channel)
        question = recommendation_pb2.RecommendRequest(
            history=recommendation_pb2.History(events=[recommendation_pb2.Event(item_id="k03")]), limit=500
        )
        question.history.events[0].event_time.FromSeconds(1)
        for item_id in ("k00", "k01", "k02"):
            asked = [ask.Recommend.future(question) for _ in range(4)]
            change.DeleteItems(pb.DeleteItemsRequest(item_ids=[item_id]))
            found = {each.item_id for each in ask.Recommend(question).recommendations}
            assert item_id not in found
            assert all(len(each.result().recommendations) >= 20 for each in asked)
        status = StatusServiceStub(channel).GetStatus(status_pb2.GetStatusRequest())
    assert (status.catalogue.replaced_item_count, status.release.item_count) == (3, 21)


def test_vectors_travel_as_little_endian_bytes(target: str, model: Model) -> None:
    item = pb.Item(item_id="bytes", vector=struct.pack("<8f", 2.0, *[0.0] * 7))
    with grpc.insecure_channel(target) as channel:
        stub = CatalogServiceStub(channel)
        stub.UpsertItems(pb.UpsertItemsRequest(items=[item], space_id=model.space_id))
        found = stub.GetItems(pb.GetItemsRequest(item_ids=["bytes"], include_vectors=True))
    assert found.items[0].vector == struct.pack("<8f", 1.0, *[0.0] * 7)
    assert found.space_id == model.space_id


def test_columns_that_cannot_be_sent_are_left_out(
    release_v1: Path, catalogue: SqliteCatalogueStore, state_v1: SqliteStateStore
) -> None:
    model = load_model(with_unsendable(open_release(release_v1)), Device.CPU)
    with serving(model, catalogue, state_v1) as address, UnbraidClient(address) as client:
        client.upsert_items([Item("k00", "Changed")])
        shown = client.list_items().items
    assert len(shown) == len(model.catalogue)
    assert not any({"embedding", "measures", "nothing"} & item.attributes.keys() for item in shown)
