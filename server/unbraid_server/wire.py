"""The wire format of protobuf, as far as answers are written without messages: keys, lengths, fixed-width records."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from google.protobuf.descriptor import FieldDescriptor

__all__ = ["DoubleRecords", "key", "opening", "varint"]

VARINT, FIXED64, LENGTH_DELIMITED = 0, 1, 2
WIRE_TYPES = {
    FieldDescriptor.TYPE_DOUBLE: FIXED64,
    FieldDescriptor.TYPE_INT32: VARINT,
    FieldDescriptor.TYPE_ENUM: VARINT,
    FieldDescriptor.TYPE_MESSAGE: LENGTH_DELIMITED,
}


def varint(value: int) -> bytes:
    """A number, not negative."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def key(field: FieldDescriptor) -> bytes:
    """What stands before a value of a field; packed ones lie together behind one key and their length."""
    wire_type = LENGTH_DELIMITED if field.is_packed else WIRE_TYPES[field.type]
    return varint(field.number << 3 | wire_type)


@cache
def opening(field: FieldDescriptor, size: int) -> bytes:
    """What stands before the content of a message, or of packed values, of so many bytes."""
    return key(field) + varint(size)


class DoubleRecords:
    """Some double fields of many messages of a kind, written in one step: every record has the same bytes but values.

    Args:
        fields: of one message, or of messages in it, each behind what stands before it there.

    Attributes:
        size: bytes of a record.
    """

    def __init__(self, fields: Sequence[tuple[bytes, FieldDescriptor]]) -> None:
        self._template = b""
        offsets = []
        for before, field in fields:
            assert field.type == FieldDescriptor.TYPE_DOUBLE
            self._template += before + key(field)
            offsets.append(len(self._template))
            self._template += bytes(8)
        self.size = len(self._template)
        names = [str(number) for number in range(len(fields))]
        self._type = np.dtype(
            {"names": names, "formats": ["<f8"] * len(fields), "offsets": offsets, "itemsize": self.size}
        )

    def write(self, columns: Sequence[npt.NDArray[np.float64]]) -> bytes:
        """The records of all messages, one behind the other: a column for each field, an entry for each message."""
        written = bytearray(self._template * len(columns[0]))
        record_N = np.frombuffer(written, self._type)
        for name, column_N in zip(record_N.dtype.names or (), columns, strict=True):
            record_N[name] = column_N
        return bytes(written)
