"""Items to messages and back, shared by both clients."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from unbraid.v1 import catalogue_pb2 as pb
from unbraid_client.arguments import checked, filled, several, wrong_type
from unbraid_client.items import AttributeValue, DeleteResult, Item, ItemPage, ItemsResult, UpsertResult

__all__ = ["ItemReading", "delete_result", "item_page", "upsert_request", "upsert_result"]

FLOAT32_BYTES = 4
INT64_END = 2**63


def upsert_request(items: Iterable[Item], space_id: str) -> pb.UpsertItemsRequest:
    """The message of an UpsertItems call.

    Raises:
        ValueError: a vector, or a value of an attribute, cannot be sent; the message names it.
        TypeError: an argument, or a part of an item, is of another type than it has to be.
    """
    messages = [_message(each, f"items[{i}]") for i, each in enumerate(several(items, "items", "Item"))]
    return filled(pb.UpsertItemsRequest, "", items=messages, space_id=space_id)


def upsert_result(response: pb.UpsertItemsResponse) -> UpsertResult:
    """The answer of an UpsertItems call."""
    return UpsertResult(response.release_id, response.added_count, response.sequence)


def delete_result(response: pb.DeleteItemsResponse) -> DeleteResult:
    """The answer of a DeleteItems call."""
    return DeleteResult(response.release_id, response.deleted_count, response.sequence)


class ItemReading:
    """Items by their ids, in as many calls as their size takes. All answers are of one release.

    Args:
        item_ids: of the items.
        include_vectors: whether to send their vectors.
    """

    def __init__(self, item_ids: Iterable[str], *, include_vectors: bool) -> None:
        self._item_ids = several(item_ids, "item_ids", "str")
        self._include_vectors = include_vectors
        self._answers: list[pb.GetItemsResponse] = []

    def request(self) -> pb.GetItemsRequest | None:
        """The message of the next call; None after the last one."""
        item_ids = self._answers[-1].remaining_item_ids if self._answers else self._item_ids
        if self._answers and not item_ids:
            return None
        return filled(pb.GetItemsRequest, "", item_ids=list(item_ids), include_vectors=self._include_vectors)

    def take(self, answer: pb.GetItemsResponse) -> None:
        """Keep an answer. Where another release has taken over meanwhile, everything is asked for once more."""
        if self._answers and self._answers[0].release_id != answer.release_id:
            self._answers.clear()
        else:
            self._answers.append(answer)

    def result(self) -> ItemsResult:
        """What all calls together have brought."""
        first = self._answers[0]
        return ItemsResult(
            first.release_id,
            first.space_id,
            tuple(_item(item) for answer in self._answers for item in answer.items),
            tuple(item_id for answer in self._answers for item_id in answer.missing_item_ids),
        )


def item_page(response: pb.ListItemsResponse) -> ItemPage:
    """The answer of a ListItems call."""
    items = tuple(map(_item, response.items))
    return ItemPage(response.release_id, response.space_id, items, response.next_page_token, response.item_count)


def _message(item: Item, path: str) -> pb.Item:
    checked(item, Item, path, "an Item")
    categories = several(item.categories, f"{path}.categories", "str")
    message = filled(pb.Item, f"{path}.", item_id=item.item_id, title=item.title, categories=categories)
    if item.vector is not None:
        message.vector = _packed(several(item.vector, f"{path}.vector", "float"), f"{path}.vector")
    for name, value in checked(item.attributes, Mapping, f"{path}.attributes", "a dict").items():
        checked(name, str, f"{path}.attributes", "names that are str")
        message.attributes[name].CopyFrom(_value(value, f"{path}.attributes[{name!r}]"))
    return message


def _packed(vector: Sequence[float], where: str) -> bytes:
    try:
        return struct.pack(f"<{len(vector)}f", *vector)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"{where}: {error}; send numbers that fit float32") from None


def _value(value: AttributeValue, where: str) -> pb.AttributeValue:
    match value:
        case bool():
            return pb.AttributeValue(bool_value=value)
        case int():
            if not -INT64_END <= value < INT64_END:
                raise ValueError(f"{where}: {value} does not fit 64 bits; send it as a float or as text")
            return pb.AttributeValue(int_value=value)
        case float():
            return pb.AttributeValue(double_value=value)
        case str():
            return pb.AttributeValue(string_value=value)
        case datetime():
            if value.tzinfo is None:
                raise ValueError(f"{where}: {value.isoformat()} has no time zone; add one, for example tzinfo=UTC")
            moment = Timestamp()
            moment.FromDatetime(value)
            return pb.AttributeValue(time_value=moment)
        case _ if isinstance(value, Iterable):
            return pb.AttributeValue(string_list_value=filled(pb.StringList, f"{where}.", values=list(value)))
        case _:
            raise wrong_type(where, value, "a str, bool, int, float, datetime or list of str")


def _item(message: pb.Item) -> Item:
    vector = struct.unpack(f"<{len(message.vector) // FLOAT32_BYTES}f", message.vector) if message.vector else None
    # The order of a map on the wire is chance.
    names = sorted(message.attributes)
    attributes = {name: value for name in names if (value := _known(message.attributes[name])) is not None}
    return Item(message.item_id, message.title, tuple(message.categories), attributes, vector)


def _known(message: pb.AttributeValue) -> AttributeValue | None:
    """The value; None for a kind that only a newer client knows."""
    match message.WhichOneof("value"):
        case None:
            return None
        case "string_list_value":
            return tuple(message.string_list_value.values)
        case "time_value":
            return message.time_value.ToDatetime(tzinfo=UTC)
        case kind:
            value: AttributeValue = getattr(message, kind)
            return value
