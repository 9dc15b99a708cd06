"""Filters as they come over the wire, checked and turned into conditions."""

from __future__ import annotations

from unbraid.v1 import filter_pb2 as pb
from unbraid_core.errors import InvalidInput
from unbraid_core.filter import (
    AttributeKind,
    Condition,
    Filter,
    FlagCondition,
    Match,
    RangeCondition,
    TextCondition,
    condition_field,
)
from unbraid_server.timestamps import epoch_seconds

__all__ = ["parse_filter"]


def parse_filter(message: pb.Filter) -> Filter | None:
    """The conditions of a filter; None where it has none.

    Raises:
        InvalidInput: a condition is incomplete or cannot be meant, or there are too many.
    """
    if not message.conditions:
        return None
    return Filter(tuple(_condition(each, condition_field(number)) for number, each in enumerate(message.conditions)))


def _condition(message: pb.Condition, field: str) -> Condition:
    attribute = message.attribute
    match message.WhichOneof("test"):
        case "any_of":
            return TextCondition(attribute, Match.ANY, tuple(message.any_of.values))
        case "all_of":
            return TextCondition(attribute, Match.ALL, tuple(message.all_of.values))
        case "none_of":
            return TextCondition(attribute, Match.NONE, tuple(message.none_of.values))
        case "number_range":
            return _number_range(attribute, message.number_range)
        case "time_range":
            return _time_range(attribute, message.time_range, f"{field}.time_range")
        case "is_set":
            return FlagCondition(attribute, message.is_set)
        case _:
            tests = ", ".join(test.name for test in pb.Condition.DESCRIPTOR.oneofs_by_name["test"].fields)
            raise InvalidInput(field, f"asks nothing about {attribute!r}; set one of {tests}")


def _number_range(attribute: str, message: pb.NumberRange) -> RangeCondition:
    return RangeCondition(
        attribute,
        AttributeKind.NUMBER,
        least=message.min if message.HasField("min") else None,
        most=message.max if message.HasField("max") else None,
        least_excluded=message.excludes_min,
        most_excluded=message.excludes_max,
    )


def _time_range(attribute: str, message: pb.TimeRange, field: str) -> RangeCondition:
    return RangeCondition(
        attribute,
        AttributeKind.TIME,
        least=epoch_seconds(message.start_time, f"{field}.start_time") if message.HasField("start_time") else None,
        most=epoch_seconds(message.end_time, f"{field}.end_time") if message.HasField("end_time") else None,
        most_excluded=True,
    )
