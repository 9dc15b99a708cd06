"""Arguments on their way into messages: one that cannot be sent is named, with what was given and what is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from numbers import Real
from reprlib import repr as shortened
from types import UnionType
from typing import Any, ParamSpec, TypeVar, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

__all__ = ["checked", "filled", "seconds", "several", "wrong_type"]

Fields = ParamSpec("Fields")
M = TypeVar("M", bound=Message)
T = TypeVar("T")

WANTED = {
    FieldDescriptor.TYPE_STRING: "a str",
    FieldDescriptor.TYPE_INT32: "an int",
    FieldDescriptor.TYPE_DOUBLE: "a float",
    FieldDescriptor.TYPE_BOOL: "a bool",
}


def filled(kind: Callable[Fields, M], path: str, *no: Fields.args, **values: Fields.kwargs) -> M:
    """A message whose fields have these values.

    Args:
        kind: class of the message; its fields are called what the arguments are.
        path: where the arguments stand, such as ``questions[3].``.
        no: messages take no others.
        values: of the fields; those with several values are sequences.

    Raises:
        TypeError: a value is of another type than its field.
        ValueError: a number or a text does not fit the wire.
    """
    try:
        return kind(*no, **values)
    except (TypeError, ValueError):
        # What protobuf says does not name the field, so each value is tried by itself.
        for where, value, alone in _parts(path, values):
            _try(kind, where, value, alone)
        raise


def _parts(path: str, values: Mapping[str, object]) -> Iterator[tuple[str, object, dict[str, Any]]]:
    """Where each value stands, the value, and the fields of a message that has no other."""
    for name, value in values.items():
        if isinstance(value, list):
            for position, each in enumerate(value):
                yield f"{path}{name}[{position}]", each, {name: [each]}
        else:
            yield f"{path}{name}", value, {name: value}


def _try(kind: Callable[..., Message], where: str, value: object, alone: Mapping[str, Any]) -> None:
    try:
        kind(**alone)
    except TypeError:
        [name] = alone
        descriptor = cast("type[Message]", kind).DESCRIPTOR
        raise wrong_type(where, value, WANTED[descriptor.fields_by_name[name].type]) from None
    except UnicodeEncodeError as error:
        why = f"{error.reason}, in {where}"
        raise UnicodeEncodeError(error.encoding, error.object, error.start, error.end, why) from None
    except ValueError as error:
        raise ValueError(f"{where}: {shortened(value)} cannot be sent: {error}") from None


def several(values: Iterable[T], field: str, wanted: str) -> list[T]:
    """Values in a list; one string is not taken for its letters.

    Raises:
        TypeError: one string, or nothing that has several values.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise wrong_type(field, values, f"a list of {wanted}")
    return list(values)


def checked(value: T, kind: type | UnionType, field: str, wanted: str) -> T:
    """The value, which is of the kind that is wanted.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(value, kind):
        raise wrong_type(field, value, wanted)
    return value


def seconds(timeout_s: float) -> float:
    """The deadline of a call.

    Raises:
        TypeError: no number.
    """
    return checked(timeout_s, Real, "timeout_s", "seconds as a float")


def wrong_type(field: str, value: object, wanted: str) -> TypeError:
    """What says that an argument is of another type than it has to be."""
    return TypeError(f"{field}: {shortened(value)} is of type {type(value).__name__}; give {wanted}")
