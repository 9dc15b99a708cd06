"""Files of items: tables as they are trained on, or an object a line as ``unbraid items`` prints them."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from unbraid_cli.console import error_console
from unbraid_client import Item
from unbraid_core.errors import InvalidInput, NotFound

__all__ = ["read_item_file", "to_json_line"]


def read_item_file(path: Path) -> list[Item]:
    """The items of a file.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it cannot be read; the message names the line or the column.
    """
    if path.suffix == ".jsonl":
        if not path.exists():
            raise NotFound(f"{path}: no such file")
        lines = path.read_text(encoding="utf-8").splitlines()
        return [_item_of_line(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    return _items_of_table(path)


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


def _items_of_table(path: Path) -> list[Item]:
    from unbraid_core.live.item_table import item_of
    from unbraid_training.data.items import read_items
    from unbraid_training.data.report import ReadReport

    catalogue, report = read_items(path)
    for line in ReadReport((report,)).lines():
        error_console.print(line, markup=False, soft_wrap=True)
    items = []
    for row in range(len(catalogue)):
        known = item_of(catalogue.table, row)
        attributes: dict[str, Any] = dict(known.attributes)
        vector = attributes.pop("vector", None)
        if vector is not None and not isinstance(vector, tuple):
            raise InvalidInput(str(path), "column 'vector' is no list of numbers; use a Parquet or .jsonl file")
        items.append(Item(known.item_id, known.title, known.categories, attributes, vector))
    return items


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
