"""Arguments of a wrong type, through both clients: each is named, and nothing is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_client import AnyOf, AsyncUnbraidClient, IsSet, Item, Numbers, Question, UnbraidClient

if TYPE_CHECKING:
    from tests.unit.client.conftest import Call, ScriptedServer

ASKED = {"user_id": "7"}
TEXT: Any = "5"
NUMBER: Any = 5
NOTHING: Any = None
NAMES: Any = ["n"]
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("recommend", {"user_id": 42}, "user_id: 42 is of type int; give a str"),
    ("recommend", {**ASKED, "limit": "5"}, "limit: '5' is of type str; give an int"),
    ("recommend", {**ASKED, "limit": 5.5}, "limit: 5.5 is of type float; give an int"),
    ("recommend", {**ASKED, "diversity": "much"}, "diversity: 'much' is of type str; give a float"),
    ("recommend", {**ASKED, "excluded_item_ids": "k00"}, "excluded_item_ids: 'k00' is of type str; give a list of str"),
    ("recommend", {**ASKED, "excluded_item_ids": ["k00", 3]}, "excluded_item_ids[1]: 3 is of type"),
    ("recommend", {**ASKED, "allowed_item_ids": 5}, "allowed_item_ids: 5 is of type int; give a list of str"),
    ("recommend", {**ASKED, "as_of": "2026-01-01"}, "as_of: '2026-01-01' is of type str; give a datetime"),
    ("recommend", {**ASKED, "as_of": date(2026, 1, 1)}, "as_of: datetime.date(2026, 1, 1) is of type date"),
    ("recommend", {**ASKED, "conditions": AnyOf("a", ["b"])}, "conditions: AnyOf("),
    ("recommend", {**ASKED, "conditions": ["price<20"]}, "conditions[0]: 'price<20' is of type str; give a condition"),
    ("recommend", {**ASKED, "conditions": [AnyOf("a", "b")]}, "conditions[0].values: 'b' is of type str; give a list"),
    ("recommend", {**ASKED, "conditions": [AnyOf("a", [NUMBER])]}, "conditions[0].values[0]: 5 is of type int"),
    ("recommend", {**ASKED, "conditions": [IsSet("a", TEXT)]}, "conditions[0].value: '5' is of type str"),
    ("recommend", {**ASKED, "conditions": [Numbers("a", least=TEXT)]}, "conditions[0].least: '5' is of type str"),
    ("recommend", {**ASKED, "timeout_s": "5"}, "timeout_s: '5' is of type str; give seconds as a float"),
    ("recommend", {"history": "k00"}, "history: 'k00' is of type str; give a list of Event"),
    ("recommend", {"history": [{"item_id": "k00"}]}, "history[0]: {'item_id': 'k00'} is of type dict; give an Event"),
    ("recommend", {"history": [("k00", 3.0), ("k00", "noon")]}, "history[1].time: 'noon' is of type str"),
    ("recommend", {"history": [(3, 3.0)]}, "history[0].item_id: 3 is of type int; give a str"),
    ("batch_recommend", {"questions": ["7"]}, "questions[0]: '7' is of type str; give a Question"),
    ("batch_recommend", {"questions": Question(user_id="7")}, "questions: Question("),
    (
        "batch_recommend",
        {"questions": [Question(user_id="7"), Question(user_id="7", limit=TEXT)]},
        "questions[1].limit: '5' is of type str; give an int",
    ),
    ("rank_items", {**ASKED, "item_ids": "k00"}, "item_ids: 'k00' is of type str; give a list of str"),
    ("similar_items", {"item_id": 7}, "item_id: 7 is of type int; give a str"),
    ("get_interests", {**ASKED, "include_vectors": "no"}, "include_vectors: 'no' is of type str; give a bool"),
    ("get_items", {"item_ids": [7]}, "item_ids[0]: 7 is of type int; give a str"),
    ("delete_items", {"item_ids": "k00"}, "item_ids: 'k00' is of type str; give a list of str"),
    ("list_items", {"page_size": "9"}, "page_size: '9' is of type str; give an int"),
    ("list_releases", {"page_token": 9}, "page_token: 9 is of type int; give a str"),
    ("activate_release", {"release_id": 9}, "release_id: 9 is of type int; give a str"),
    ("upsert_items", {"items": [{"item_id": "k00"}]}, "items[0]: {'item_id': 'k00'} is of type dict; give an Item"),
    ("upsert_items", {"items": [Item("a"), Item("b", title=NUMBER)]}, "items[1].title: 5 is of type int"),
    ("upsert_items", {"items": [Item("a", categories="b")]}, "items[0].categories: 'b' is of type str"),
    ("upsert_items", {"items": [Item("a", vector=NUMBER)]}, "items[0].vector: 5 is of type int; give a list of float"),
    (
        "upsert_items",
        {"items": [Item("a", attributes={"n": NOTHING})]},
        "items[0].attributes['n']: None is of type NoneTy",
    ),
    ("upsert_items", {"items": [Item("a", attributes=NAMES)]}, "items[0].attributes: ['n'] is of type list; give a d"),
]


@pytest.mark.parametrize(("method", "arguments", "message"), WRONG)
def test_an_argument_of_a_wrong_type_is_named(
    server: ScriptedServer, call: Call, method: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError) as caught:
        call(method, **arguments)
    assert str(caught.value).startswith(message)
    assert server.requests == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"user_id": "7", "limit": 2**40}, r"^limit: 1099511627776 cannot be sent: "),
        ({"user_id": "\udcff"}, r"surrogates not allowed, in user_id$"),
    ],
)
def test_a_value_that_does_not_fit_the_wire_is_named(
    server: ScriptedServer, call: Call, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        call("recommend", **arguments)
    assert server.requests == []


def test_numbers_and_texts_of_numpy_are_numbers_and_texts(server: ScriptedServer, call: Call) -> None:
    server.answer(pb.RecommendResponse())
    ids = np.array(["k00", "k01"])
    conditions = [Numbers("price", least=np.float32(0.5))]  # type: ignore[arg-type]  # a number all the same
    call("recommend", user_id=ids[0], limit=np.int64(5), excluded_item_ids=ids, conditions=conditions)
    [sent] = server.requests
    assert (sent.user_id, sent.limit, list(sent.excluded_item_ids)) == ("k00", 5, ["k00", "k01"])
    assert sent.filter.conditions[0].number_range.min == 0.5


def test_a_wrong_question_of_a_stream_is_named(server: ScriptedServer) -> None:
    server.answer(pb.StreamRecommendResponse())
    questions: list[Any] = [Question(user_id="7"), "8"]

    async def asked() -> AsyncIterator[Any]:
        for question in questions:
            yield question

    async def awaited() -> None:
        async with AsyncUnbraidClient(server.target) as client:
            async for _ in client.stream_recommend(asked()):
                pass

    with UnbraidClient(server.target) as client, pytest.raises(TypeError, match=r"questions\[1\]: '8' is of type str"):
        list(client.stream_recommend(questions))
    with pytest.raises(TypeError, match=r"questions\[1\]: '8' is of type str"):
        asyncio.run(awaited())


@pytest.mark.parametrize(
    ("target", "arguments", "message"),
    [
        (50051, {}, "target: 50051 is of type int; give host:port as a str"),
        ("localhost:1", {"timeout_s": "5"}, "timeout_s: '5' is of type str"),
        ("localhost:1", {"tls": "ca.pem"}, "tls: 'ca.pem' is of type str; give a Tls"),
        ("localhost:1", {"token": b"secret"}, "token: is of type bytes; give a str"),
    ],
)
def test_a_client_of_wrong_arguments_is_none(target: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        UnbraidClient(target, **arguments)
