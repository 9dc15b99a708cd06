"""Items of the catalogue as messages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from unbraid.v1 import catalogue_pb2 as pb
from unbraid_core.item_change import AttributeValue, Item
from unbraid_core.types import IntArray
from unbraid_server.model import Model

__all__ = ["item_messages"]


def item_messages(model: Model, rows: IntArray, *, with_vectors: bool) -> Iterator[pb.Item]:
    """The items of some rows, each made when it is asked for."""
    for row in rows.tolist():
        message = _message(model.catalogue.item(row))
        if with_vectors:
            message.vector = model.pipeline.item_vectors_ID[row : row + 1].astype("<f4").tobytes()
        yield message


def _message(item: Item) -> pb.Item:
    message = pb.Item(item_id=item.item_id, title=item.title, categories=item.categories)
    for name, value in item.attributes.items():
        message.attributes[name].CopyFrom(_value(value))
    return message


def _value(value: AttributeValue) -> pb.AttributeValue:
    match value:
        case bool():
            return pb.AttributeValue(bool_value=value)
        case int():
            return pb.AttributeValue(int_value=value)
        case float():
            return pb.AttributeValue(double_value=value)
        case str():
            return pb.AttributeValue(string_value=value)
        case datetime():
            moment = Timestamp()
            moment.FromDatetime(value)
            return pb.AttributeValue(time_value=moment)
        case _:
            return pb.AttributeValue(string_list_value=pb.StringList(values=value))
