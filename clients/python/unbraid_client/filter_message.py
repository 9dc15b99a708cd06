"""Conditions to the message of a filter."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real

from unbraid.v1 import filter_pb2 as pb
from unbraid_client.arguments import checked, filled, several
from unbraid_client.filters import AllOf, AnyOf, Condition, IsSet, NoneOf, Numbers, Times
from unbraid_client.timestamps import timestamp_of

__all__ = ["filter_message"]


def filter_message(
    conditions: Iterable[Condition], allowed_item_ids: Iterable[str] | None, path: str
) -> pb.Filter | None:
    """The message of a filter, which stands at a path; None where anything may come back.

    Raises:
        ValueError: no item is allowed at all, or a time cannot be sent.
        TypeError: an argument or a part of a condition is of another type than it has to be.
    """
    meet = several(conditions, f"{path}conditions", "conditions, such as AnyOf")
    field = f"{path}allowed_item_ids"
    message = filled(
        pb.Filter,
        path,
        conditions=[_condition(each, f"{path}conditions[{position}]") for position, each in enumerate(meet)],
        allowed_item_ids=[] if allowed_item_ids is None else several(allowed_item_ids, field, "str"),
    )
    if allowed_item_ids is not None and not message.allowed_item_ids:
        raise ValueError(f"{field}: is empty, so nothing can come back; give at least one id, or None for all")
    return message if message.conditions or message.allowed_item_ids else None


def _condition(condition: Condition, field: str) -> pb.Condition:
    checked(condition, Condition, field, "a condition, such as AnyOf")
    message = filled(pb.Condition, f"{field}.", attribute=condition.attribute)
    match condition:
        case AnyOf():
            message.any_of.CopyFrom(_values(condition, field))
        case AllOf():
            message.all_of.CopyFrom(_values(condition, field))
        case NoneOf():
            message.none_of.CopyFrom(_values(condition, field))
        case Numbers():
            message.number_range.CopyFrom(_number_range(condition, field))
        case Times():
            start, end = condition.start, condition.end
            time_range = pb.TimeRange(
                start_time=None if start is None else timestamp_of(start, f"{field}.start"),
                end_time=None if end is None else timestamp_of(end, f"{field}.end"),
            )
            message.time_range.CopyFrom(time_range)
        case IsSet():
            message.is_set = checked(condition.value, bool, f"{field}.value", "a bool")
    return message


def _values(condition: AnyOf | AllOf | NoneOf, field: str) -> pb.TextValues:
    return filled(pb.TextValues, f"{field}.", values=several(condition.values, f"{field}.values", "str"))


def _number_range(numbers: Numbers, field: str) -> pb.NumberRange:
    for name in ("least", "most", "above", "below"):
        checked(getattr(numbers, name), Real | None, f"{field}.{name}", "a float")
    return pb.NumberRange(
        min=numbers.least if numbers.above is None else numbers.above,
        max=numbers.most if numbers.below is None else numbers.below,
        excludes_min=numbers.above is not None,
        excludes_max=numbers.below is not None,
    )
