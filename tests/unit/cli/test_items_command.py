"""``unbraid items`` against a server in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from unbraid_cli.app import run
from unbraid_client import UnbraidClient
from unbraid_server.active_model import ActiveModel
from unbraid_server.logs import open_log
from unbraid_server.model import Model
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore

Items = Callable[..., tuple[int, str, str]]


@pytest.fixture
def target(model_v1: Model, state_v1: SqliteStateStore, tmp_path: Path) -> Iterator[str]:
    catalogue = SqliteCatalogueStore(tmp_path / "catalogue.sqlite")
    active = ActiveModel(model_v1, catalogue)
    server = Server(active, state_v1, ServerSettings(port=0), open_log("critical"))
    yield f"127.0.0.1:{server.start()}"
    server.stop(grace_s=0)
    catalogue.close()


@pytest.fixture
def items(target: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Items:
    monkeypatch.setenv("UNBRAID_SERVER", target)
    monkeypatch.setenv("COLUMNS", "140")

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["unbraid", "items", *arguments])
        code = run()
        out, err = capsys.readouterr()
        return code, out, err

    return command


LINES = [
    {"item_id": "new", "title": "A [new] one", "categories": ["jazz"], "vector": [1.0] * 8},
    {"item_id": "k00", "title": "On sale", "attributes": {"price_cents": 995}},
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "items.jsonl"
    path.write_text("".join(json.dumps(line) + "\n\n" for line in LINES))
    return path


def test_items_of_a_file_are_added_and_read_back(items: Items, source: Path, target: str) -> None:
    with UnbraidClient(target) as client:
        space_id = client.get_items([]).space_id
    code, out, _ = items("upsert", str(source), "--space-id", space_id)
    assert (code, out) == (0, "2 items: 1 new, 1 changed\n")
    code, out, _ = items("get", "new", "k00", "nobody", "--json", "--vectors")
    new, k00, missing = out.splitlines()
    assert code == 1
    assert (json.loads(new)["title"], json.loads(new)["categories"]) == ("A [new] one", ["jazz"])
    assert json.loads(new)["vector"] == pytest.approx([8**-0.5] * 8)
    assert json.loads(k00)["attributes"] == {"price_cents": 995}
    assert missing == "not in the catalogue: nobody"
    assert "A [new] one" in items("get", "new")[1]


def test_a_table_of_items_changes_what_they_say(items: Items, tmp_path: Path) -> None:
    table = tmp_path / "items.csv"
    table.write_text("item_id,title,categories,price_cents\nk01,Better,kitchen|sale,12\n")
    assert items("upsert", str(table))[:2] == (0, "1 item: 0 new, 1 changed\n")
    code, out, _ = items("get", "k01", "--json")
    item = json.loads(out)
    assert (code, item["categories"], item["attributes"]) == (0, ["kitchen", "sale"], {"price_cents": 12})


def test_a_listing_is_a_file_of_items(items: Items, tmp_path: Path) -> None:
    code, out, _ = items("list", "--limit", "100", "--json")
    assert (code, len(out.splitlines())) == (0, 24)
    listed = tmp_path / "listed.jsonl"
    listed.write_text(out)
    assert items("upsert", str(listed))[1] == "24 items: 0 new, 24 changed\n"
    assert items("list", "--limit", "100", "--json")[1] == out


def test_no_character_of_a_title_is_lost_on_the_way(items: Items, tmp_path: Path) -> None:
    line = {
        "item_id": "k00",
        "title": 'two\u2028lines\x85, :smile:, "[red]", \ufeff\u202e and e\u0301',
        "categories": [],
    }
    source = tmp_path / "items.jsonl"
    source.write_text("\ufeff" + json.dumps(line, ensure_ascii=False) + "\r\n", encoding="utf-8")
    assert items("upsert", str(source))[:2] == (0, "1 item: 0 new, 1 changed\n")
    code, out, _ = items("get", "k00", "--json")
    assert (code, json.loads(out)["title"]) == (0, line["title"])


def test_a_title_cannot_command_the_terminal(items: Items, tmp_path: Path) -> None:
    source = tmp_path / "items.jsonl"
    source.write_text(json.dumps({"item_id": "k00", "title": "\x1b[2Jgone\nand \x9b31mred"}))
    assert items("upsert", str(source))[0] == 0
    assert " [2Jgone and  31mred" in items("get", "k00")[1]


def test_vectors_of_a_table(items: Items, tmp_path: Path, target: str) -> None:
    with UnbraidClient(target) as client:
        space_id = client.get_items([]).space_id
    path = tmp_path / "items.parquet"
    vectors = pa.array([[1.0] * 8, None], pa.list_(pa.float32()))
    parquet.write_table(pa.table({"item_id": ["new", "k00"], "vector": vectors}), path)
    assert items("upsert", str(path), "--space-id", space_id)[:2] == (0, "2 items: 1 new, 1 changed\n")
    item = json.loads(items("get", "new", "--json", "--vectors")[1])
    assert (item["vector"], item["attributes"]) == (pytest.approx([8**-0.5] * 8), {})


@pytest.mark.parametrize(
    ("vector", "problem"),
    [
        (["1 2 3"], "column 'vector' is no list of numbers"),
        ([[1.0, None]], "column 'vector' lacks a number in row 1"),
    ],
)
def test_a_column_of_other_vectors_is_refused(items: Items, tmp_path: Path, vector: list[Any], problem: str) -> None:
    path = tmp_path / "items.parquet"
    parquet.write_table(pa.table({"item_id": ["k00"], "vector": vector}), path)
    code, _, err = items("upsert", str(path))
    assert (code, problem in err) == (2, True)


def test_a_file_that_is_no_text_is_named(items: Items, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(b'{"item_id": "\xff"}')
    assert "not UTF-8 text" in items("upsert", str(path))[2]


def test_a_listing_goes_on_where_it_ended(items: Items) -> None:
    _, out, _ = items("list", "--limit", "2")
    assert "c01" in out
    assert "24 items in all; go on with: --page-token" in out
    _, out, _ = items("list", "--limit", "1", "--page-token", out.split()[-1])
    assert "c02" in out


def test_items_are_deleted(items: Items) -> None:
    assert items("delete", "k00", "nobody")[:2] == (0, "1 of 2 items deleted\n")
    assert items("get", "k00")[0] == 1


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"id": "b"}', ":2: item_id: Field required"),
        ("[1]", ":2: Input should be an object"),
        ('{"item_id": "b", "colour": "red"}', ":2: colour: Extra inputs are not permitted"),
        ("{", "Invalid JSON"),
        ('{"item_id": "b", "attributes": {"made": {"time": "soon"}}}', ":2: attributes.made"),
        ('{"item_id": "b", "title": 3}', ":2: title: Input should be a valid string"),
    ],
)
def test_a_line_that_is_no_item_is_named(items: Items, tmp_path: Path, line: str, problem: str) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text(f'{{"item_id": "k00"}}\n{line}\n')
    code, out, err = items("upsert", str(broken))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert problem in err


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (
            {"attributes": {"price_cents": 10**30}},
            "attributes['price_cents']: 1000000000000000000000000000000 does not",
        ),
        ({"vector": [1e300]}, "vector: float too large to pack with f format; send numbers that fit float32"),
    ],
)
def test_what_cannot_be_sent_is_named(items: Items, tmp_path: Path, said: dict[str, Any], problem: str) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(json.dumps({"item_id": "k00", **said}))
    code, _, err = items("upsert", str(path))
    assert (code, f"error: {path}:1: {problem}" in err) == (2, True), err


def test_what_a_server_refuses_is_named_and_what_is_stored_already_is_said(
    items: Items, tmp_path: Path, target: str
) -> None:
    with UnbraidClient(target) as client:
        space_id = client.get_items([]).space_id
    path = tmp_path / "items.jsonl"
    lines = [json.dumps({"item_id": f"new {number}", "vector": [1.0] * 8}) for number in range(200)]
    path.write_text("\n\n".join([*lines, json.dumps({"item_id": "k00", "attributes": {"size": 1}})]))
    code, out, err = items("upsert", str(path), "--space-id", space_id)
    assert (code, out) == (2, "")
    assert f"error: {path}:401: attributes['size']: the catalogue has no such attribute" in err
    assert "(the first 200 of 201 items are stored; sending the file again does no harm)" in err
    path.write_text("\n".join(lines))
    assert items("upsert", str(path), "--space-id", space_id)[1] == "200 items: 0 new, 200 changed\n"


def test_an_item_of_a_table_that_is_refused_is_named_by_its_id(items: Items, tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item_id,title,size\nk00,Pan,1\n")
    err = items("upsert", str(path))[2]
    assert f"error: {path}: item 'k00': attributes['size']: the catalogue has no such attribute" in err
    assert "stored" not in err


def test_a_wrong_space_is_named_as_the_option(items: Items, source: Path) -> None:
    assert "error: --space-id: '' is not the space of release" in items("upsert", str(source))[2]


def test_an_item_that_is_there_twice_is_refused(items: Items, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text('{"item_id": "k00"}\n{"item_id": "k01"}\n{"item_id": "k00"}\n')
    assert f"error: {path}:3: item 'k00' is {path}:1 already; write every item once" in items("upsert", str(path))[2]


def test_an_argument_that_is_no_text_is_refused(items: Items) -> None:
    code, _, err = items("get", "\udcff")
    assert (code, err) == (2, "error: an argument or file holds bytes that are no UTF-8 text\n")


def test_a_missing_file_is_named(items: Items, tmp_path: Path) -> None:
    assert "no such file" in items("upsert", str(tmp_path / "none.jsonl"))[2]
