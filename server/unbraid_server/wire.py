"""The wire format of protobuf, as far as answers are written without messages: keys, lengths, fixed-width records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from google.protobuf.descriptor import FieldDescriptor

from unbraid_core.types import DoubleArray, IntArray

__all__ = ["Openings", "Records", "key", "opening", "varint"]

VARINT, FIXED64, LENGTH_DELIMITED = 0, 1, 2
WIRE_TYPES = {
    FieldDescriptor.TYPE_DOUBLE: FIXED64,
    FieldDescriptor.TYPE_INT32: VARINT,
    FieldDescriptor.TYPE_INT64: VARINT,
    FieldDescriptor.TYPE_ENUM: VARINT,
    FieldDescriptor.TYPE_MESSAGE: LENGTH_DELIMITED,
    FieldDescriptor.TYPE_BYTES: LENGTH_DELIMITED,
}
LONG_VARINT = 10
SEVEN_BITS = np.uint64(0x7F)
SHIFT_W = np.arange(0, 7 * LONG_VARINT, 7, dtype=np.uint64)
CONTINUED_W = np.array([0x80] * (LONG_VARINT - 1) + [0], np.uint64)


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


def opening(field: FieldDescriptor, size: int) -> bytes:
    """What stands before the content of a message, of bytes or of packed values, of so many bytes."""
    return key(field) + varint(size)


class Openings(dict[int, bytes]):
    """The ``opening`` of a field by size, each put together once.

    Args:
        field: a message, bytes or packed values.
    """

    def __init__(self, field: FieldDescriptor) -> None:
        super().__init__()
        self._field = field

    def __missing__(self, size: int) -> bytes:
        self[size] = written = opening(self._field, size)
        return written


class Records:
    """Some fields of many messages of a kind, written in one step: every record has the same bytes but values.

    Integers take as many bytes as any integer may need, which readers of protobuf take like short ones.

    Args:
        fields: doubles and integers of one message, or of messages in it, each behind what stands before it there.

    Attributes:
        size: bytes of a record.
    """

    def __init__(self, fields: Sequence[tuple[bytes, FieldDescriptor]]) -> None:
        self._template = b""
        formats, offsets = [], []
        for before, field in fields:
            self._template += before + key(field)
            offsets.append(len(self._template))
            is_double = field.type == FieldDescriptor.TYPE_DOUBLE
            formats.append("<f8" if is_double else f"{LONG_VARINT}u1")
            self._template += bytes(8 if is_double else LONG_VARINT)
        self.size = len(self._template)
        self._names = [str(offset) for offset in offsets]
        self._type = np.dtype({"names": self._names, "formats": formats, "offsets": offsets, "itemsize": self.size})
        self._bytes = np.dtype((np.void, self.size))

    def write(self, columns: Sequence[DoubleArray | IntArray]) -> list[bytes]:
        """The record of each message: a column for each field, an entry for each message."""
        record_N = np.frombuffer(bytearray(self._template * len(columns[0])), self._type)
        for name, column_N in zip(self._names, columns, strict=True):
            record_N[name] = _long_varints(column_N) if column_N.dtype == np.int64 else column_N
        written: list[bytes] = record_N.view(self._bytes).tolist()
        return written


def _long_varints(value_N: DoubleArray | IntArray) -> npt.NDArray[np.uint64]:
    """The bytes of each integer: [N, W]."""
    byte_NW: npt.NDArray[np.uint64] = value_N.view(np.uint64)[:, None] >> SHIFT_W & SEVEN_BITS | CONTINUED_W
    return byte_NW
