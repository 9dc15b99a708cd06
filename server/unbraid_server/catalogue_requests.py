"""Requests about the catalogue, checked against the documented limits.

Every refusal names the path of the field, as the caller wrote it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from unbraid.v1 import catalogue_pb2 as pb
from unbraid_core.errors import InvalidInput
from unbraid_core.item_change import AttributeValue, Item
from unbraid_server.page_token import item_after
from unbraid_server.timestamps import epoch_seconds

__all__ = ["Page", "SentItem", "parse_ids", "parse_list_items", "parse_upsert_items"]

MAX_ITEMS = 1000
MAX_VALUES = 1000
MAX_ID_BYTES = 512
MAX_ITEM_BYTES = 16_384
DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 100, 1000

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SentItem:
    """An item as it was sent; the bytes of the vector are not looked at yet, and empty where it has none."""

    item: Item
    vector: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """Which items to list: so many of those whose ids come after one."""

    after: str
    size: int


def parse_upsert_items(request: pb.UpsertItemsRequest) -> list[SentItem]:
    """The items of a request, each id once.

    Raises:
        InvalidInput: a field is missing or out of its limits.
    """
    _check_ids("items", [message.item_id for message in request.items], "{}[{}].item_id")
    return [_sent_item(message, f"items[{position}]") for position, message in enumerate(request.items)]


def parse_ids(item_ids: Sequence[str]) -> list[str]:
    """The ids of a request, each once.

    Raises:
        InvalidInput: there are too many, or one is empty, too long or repeated.
    """
    _check_ids("item_ids", item_ids, "{}[{}]")
    return list(item_ids)


def parse_list_items(request: pb.ListItemsRequest) -> Page:
    """Which page is asked for.

    Raises:
        InvalidInput: the size is negative, or the token is none of ours.
    """
    if request.page_size < 0:
        raise InvalidInput(
            "page_size",
            f"{request.page_size} is negative; send 0 for {DEFAULT_PAGE_SIZE}, or a number up to {MAX_PAGE_SIZE}",
        )
    return Page(item_after(request.page_token), min(request.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE))


def _check_ids(field: str, item_ids: Sequence[str], path: str) -> None:
    if len(item_ids) > MAX_ITEMS:
        raise InvalidInput(field, f"{len(item_ids)} items; send at most {MAX_ITEMS} in a call")
    first: dict[str, int] = {}
    for position, item_id in enumerate(item_ids):
        if not item_id:
            raise InvalidInput(path.format(field, position), "is empty; name an item")
        if len(item_id.encode()) > MAX_ID_BYTES:
            raise InvalidInput(path.format(field, position), f"is longer than {MAX_ID_BYTES} bytes; use a shorter id")
        earlier = first.setdefault(item_id, position)
        if earlier != position:
            where = path.format(field, earlier)
            raise InvalidInput(path.format(field, position), f"{item_id!r} is {where} already; send every item once")


def _sent_item(message: pb.Item, path: str) -> SentItem:
    size = message.ByteSize() - len(message.vector)
    if size > MAX_ITEM_BYTES:
        raise InvalidInput(path, f"is {size} bytes large without its vector; send at most {MAX_ITEM_BYTES}")
    if len(message.categories) > MAX_VALUES:
        raise InvalidInput(f"{path}.categories", f"{len(message.categories)} values; send at most {MAX_VALUES}")
    attributes = {
        name: _attribute_value(value, f"{path}.attributes[{name!r}]") for name, value in message.attributes.items()
    }
    return SentItem(Item(message.item_id, message.title, tuple(message.categories), attributes), message.vector)


def _attribute_value(message: pb.AttributeValue, path: str) -> AttributeValue:
    kind = message.WhichOneof("value")
    value: AttributeValue
    match kind:
        case None:
            raise InvalidInput(path, "has no value; set one, or leave the attribute out")
        case "string_list_value":
            value = tuple(message.string_list_value.values)
            if len(value) > MAX_VALUES:
                raise InvalidInput(path, f"{len(value)} values; send at most {MAX_VALUES}")
        case "time_value":
            value = _moment(message.time_value, f"{path}.time_value")
        case _:
            value = getattr(message, kind)
            if isinstance(value, float) and not math.isfinite(value):
                raise InvalidInput(path, f"{value} is not a number; leave the attribute out")
    return value


def _moment(time: Timestamp, path: str) -> datetime:
    """To the microsecond, exactly."""
    epoch_seconds(time, path)
    return EPOCH + timedelta(seconds=time.seconds, microseconds=time.nanos // 1000)
