"""Files of items: tables as they are trained on, or an object a line as ``unbraid items`` prints them."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from unbraid_cli.console import error_console
from unbraid_client import Item
from unbraid_core.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["read_item_file", "to_json_line"]

VECTOR = "vector"


def read_item_file(path: Path) -> dict[str, Item]:
    """The items of a file in their order, by where they stand: ``items.jsonl:3`` or ``items.csv: item 'k00'``.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it cannot be read, or has an item twice; the message names the line or the column.
    """
    return _items_of_lines(path) if path.suffix == ".jsonl" else _items_of_table(path)


def to_json_line(item: Item) -> str:
    """One line that ``read_item_file`` reads."""
    attributes = {name: _plain(value) for name, value in item.attributes.items()}
    content: dict[str, object] = {
        "item_id": item.item_id,
        "title": item.title,
        "categories": list(item.categories),
        "attributes": attributes,
    }
    if item.vector is not None:
        content["vector"] = list(item.vector)
    return json.dumps(content, ensure_ascii=False)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(str(path), "not UTF-8 text; save the file with UTF-8 encoding") from None


def _items_of_lines(path: Path) -> dict[str, Item]:
    if not path.exists():
        raise NotFound(f"{path}: no such file")
    items: dict[str, Item] = {}
    place_of: dict[str, str] = {}
    # Not splitlines: it would part a line at characters that JSON leaves as they are.
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            place = f"{path}:{number}"
            item = _item_of_line(line, place)
            earlier = place_of.setdefault(item.item_id, place)
            if earlier != place:
                raise InvalidInput(place, f"item {item.item_id!r} is {earlier} already; write every item once")
            items[place] = item
    return items


def _items_of_table(path: Path) -> dict[str, Item]:
    from unbraid_core.live.item_table import item_of
    from unbraid_training.data.items import read_items
    from unbraid_training.data.report import ReadReport

    catalogue, report = read_items(path)
    for line in ReadReport((report,)).lines():
        error_console.print(line, markup=False, soft_wrap=True)
    vectors = _vectors(catalogue.table, path)
    items = {}
    for row, vector in enumerate(vectors):
        known = item_of(catalogue.table, row)
        attributes = {name: value for name, value in known.attributes.items() if name != VECTOR}
        item = Item(known.item_id, known.title, known.categories, attributes, vector)
        items[f"{path}: item {item.item_id!r}"] = item
    return items


def _vectors(table: pa.Table, path: Path) -> list[list[float] | None]:
    """Of every row; None where it has none."""
    from pyarrow import types

    if VECTOR not in table.column_names:
        return [None] * len(table)
    column = table.column(VECTOR)
    kind = column.type
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    if not (is_list and (types.is_floating(kind.value_type) or types.is_integer(kind.value_type))):
        raise InvalidInput(str(path), f"column {VECTOR!r} is no list of numbers; use a Parquet or .jsonl file")
    vectors: list[list[float] | None] = column.to_pylist()
    position = next((row for row, vector in enumerate(vectors) if vector is not None and None in vector), None)
    if position is not None:
        raise InvalidInput(str(path), f"column {VECTOR!r} lacks a number in row {position + 1}; send all or none")
    return vectors


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Time(_Strict):
    """JSON has no times, so an attribute that is one is written as an object."""

    time: AwareDatetime


class _Line(_Strict):
    item_id: str
    title: str = ""
    categories: list[str] = []
    attributes: dict[str, bool | int | float | str | list[str] | _Time] = {}
    vector: list[float] | None = None

    def item(self) -> Item:
        attributes = {
            name: value.time if isinstance(value, _Time) else value for name, value in self.attributes.items()
        }
        return Item(self.item_id, self.title, self.categories, attributes, self.vector)


def _item_of_line(line: str, where: str) -> Item:
    try:
        return _Line.model_validate_json(line).item()
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InvalidInput(f"{where}: {field}" if field else where, f"{first['msg']}; see docs/catalogue.md") from None


def _plain(value: object) -> object:
    return {"time": value.isoformat()} if isinstance(value, datetime) else value
