"""Conditions to the message of a filter."""

from __future__ import annotations

from collections.abc import Iterable

from unbraid.v1 import filter_pb2 as pb
from unbraid_client.filters import AllOf, AnyOf, Condition, IsSet, NoneOf, Numbers, Times
from unbraid_client.timestamps import timestamp_of

__all__ = ["filter_message"]


def filter_message(conditions: Iterable[Condition], allowed_item_ids: Iterable[str] | None) -> pb.Filter | None:
    """The message of a filter; None where anything may come back.

    Raises:
        ValueError: no item is allowed at all, or a time cannot be sent.
        TypeError: a condition has one string in place of several values.
    """
    message = pb.Filter(
        conditions=[_condition(each, f"conditions[{position}]") for position, each in enumerate(conditions)],
        allowed_item_ids=allowed_item_ids or (),
    )
    if allowed_item_ids is not None and not message.allowed_item_ids:
        raise ValueError("allowed_item_ids: is empty, so nothing can come back; give at least one id, or None for all")
    return message if message.conditions or message.allowed_item_ids else None


def _condition(condition: Condition, field: str) -> pb.Condition:
    message = pb.Condition(attribute=condition.attribute)
    match condition:
        case AnyOf():
            message.any_of.values.extend(_values(condition, field))
            message.any_of.SetInParent()
        case AllOf():
            message.all_of.values.extend(_values(condition, field))
            message.all_of.SetInParent()
        case NoneOf():
            message.none_of.values.extend(_values(condition, field))
            message.none_of.SetInParent()
        case Numbers():
            message.number_range.CopyFrom(_number_range(condition))
        case Times():
            start, end = condition.start, condition.end
            time_range = pb.TimeRange(
                start_time=None if start is None else timestamp_of(start, f"{field}.start"),
                end_time=None if end is None else timestamp_of(end, f"{field}.end"),
            )
            message.time_range.CopyFrom(time_range)
        case IsSet():
            message.is_set = condition.value
    return message


def _values(condition: AnyOf | AllOf | NoneOf, field: str) -> Iterable[str]:
    if isinstance(condition.values, str):
        raise TypeError(f"{field}.values: is one string, {condition.values!r}; give a list of strings")
    return condition.values


def _number_range(numbers: Numbers) -> pb.NumberRange:
    return pb.NumberRange(
        min=numbers.least if numbers.above is None else numbers.above,
        max=numbers.most if numbers.below is None else numbers.below,
        excludes_min=numbers.above is not None,
        excludes_max=numbers.below is not None,
    )
