"""Bytes of requests: any message of the contract, and what is none."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from itertools import cycle, islice

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import strategies as st

# Items of the fixture release, so that some messages mean something.
ITEM_IDS = [f"{kind}{number:02}" for kind in "kc" for number in range(12)]
WORDS = [
    "view",
    "categories",
    "popularity",
    "synthetic",
    "u",
    "",
    " ",
    "\x00",
    "\ud7ff",
    "x" * 600,
    "é" * 300,
]
MOST_DEPTH = 5
MOST_BYTES = 2**17

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
EDGES = [0, 1, 2, 3, 4, 20, 500, 501, 1_000, 10_001, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1]
SECONDS = [-62_135_596_801, -62_135_596_800, -1, 0, 1_767_500_000, 253_402_300_799, 253_402_300_800]
DOUBLES = [0.0, -0.0, 0.5, 1.0, -1.0, 1.0 + 2**-52, 1e308, -1e308, 5e-324, math.inf, -math.inf, math.nan]
WIRE_TYPE = {
    FieldDescriptor.TYPE_DOUBLE: FIXED64,
    FieldDescriptor.TYPE_INT32: VARINT,
    FieldDescriptor.TYPE_INT64: VARINT,
    FieldDescriptor.TYPE_BOOL: VARINT,
    FieldDescriptor.TYPE_ENUM: VARINT,
    FieldDescriptor.TYPE_STRING: LENGTH,
    FieldDescriptor.TYPE_BYTES: LENGTH,
    FieldDescriptor.TYPE_MESSAGE: LENGTH,
}


def varint(number: int) -> bytes:
    """A number on the wire; negative ones are those of 64 bits."""
    number &= 2**64 - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def tagged(number: int, wire_type: int, content: bytes) -> bytes:
    """A field on the wire."""
    length = varint(len(content)) if wire_type == LENGTH else b""
    return varint(number << 3 | wire_type) + length + content


NUMBERS = st.one_of(st.sampled_from(EDGES), st.sampled_from(EDGES).map(lambda n: -n), st.integers(-(2**63), 2**64 - 1))
TEXTS = st.one_of(st.sampled_from(ITEM_IDS), st.sampled_from(WORDS), st.text(max_size=20)).map(
    lambda text: text.encode("utf-8", "surrogatepass")
)
NO_TEXTS = st.sampled_from([b"\xff", b"k00\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\x80"])
OF_TYPE: dict[int, st.SearchStrategy[bytes]] = {
    FieldDescriptor.TYPE_STRING: st.integers(0, 29).flatmap(lambda number: TEXTS if number else NO_TEXTS),
    # Eight numbers of four bytes are a vector of the fixture release.
    FieldDescriptor.TYPE_BYTES: st.one_of(
        st.binary(max_size=70), st.just(b"\x00\x00\x80\x3f" * 8), st.just(b"\x00\x00\xc0\x7f" * 8)
    ),
    FieldDescriptor.TYPE_DOUBLE: st.one_of(st.sampled_from(DOUBLES), st.floats()).map(
        lambda number: struct.pack("<d", number)
    ),
}
COUNTS = st.sampled_from([0, 1, 1, 2, 2, 3, 5, 33, 257, 1_001, 10_001])
WILD_FIELDS = st.builds(
    tagged, st.integers(1, 40), st.sampled_from([VARINT, FIXED64, LENGTH, FIXED32, 3, 4, 6, 7]), st.binary(max_size=12)
)


@st.composite
def encoded_messages(draw: st.DrawFn, descriptor: Descriptor, depth: int = 0) -> bytes:
    """A message of a type on the wire: some of its fields, repeated ones many times, in any order."""
    fields: list[FieldDescriptor] = [
        field for field in descriptor.fields if depth < MOST_DEPTH or field.message_type is None
    ]
    if not fields:
        return b""
    # Small messages mostly have all of their fields, so that events have items and times; and oneofs one of theirs.
    is_whole = len(fields) <= 3 and draw(st.integers(0, 4)) > 0
    chosen = fields if is_whole else draw(st.lists(st.sampled_from(fields), max_size=5))
    for oneof in descriptor.oneofs:
        alternatives = [field for field in oneof.fields if field in fields]
        if alternatives and draw(st.integers(0, 9)) > 0:
            chosen = [*chosen, draw(st.sampled_from(alternatives))]
    return b"".join(draw(encoded_field(field, descriptor, depth)) for field in chosen)


@st.composite
def encoded_field(draw: st.DrawFn, field: FieldDescriptor, parent: Descriptor, depth: int) -> bytes:
    """One field, or all of a repeated one."""
    once = value(field, parent, depth).map(lambda content: tagged(field.number, WIRE_TYPE[field.type], content))
    if not field.is_repeated:
        return draw(once)
    # A list at a limit repeats few different values: drawing each would take for ever.
    few = draw(st.lists(once, min_size=1, max_size=2))
    count = min(draw(COUNTS), MOST_BYTES // max(map(len, few)))
    return b"".join(islice(cycle(few), count))


def value(field: FieldDescriptor, parent: Descriptor, depth: int) -> st.SearchStrategy[bytes]:
    """The content of a field, without its tag."""
    if field.message_type is not None:
        return encoded_messages(field.message_type, depth + 1)
    if field.type in OF_TYPE:
        return OF_TYPE[field.type]
    if parent.full_name == "google.protobuf.Timestamp" and field.name == "seconds":
        return st.one_of(st.sampled_from(SECONDS), NUMBERS).map(varint)
    return st.one_of(st.integers(0, 4), st.integers(0, 50), NUMBERS).map(varint)


@st.composite
def request_bytes(draw: st.DrawFn, descriptor: Descriptor) -> bytes:
    """A message on the wire, sound in most cases; else cut short, with foreign fields, or with any bytes at all."""
    encoded = draw(encoded_messages(descriptor))
    match draw(st.integers(0, 9)):
        case 0:
            return encoded[: draw(st.integers(0, len(encoded)))]
        case 1:
            return encoded + draw(WILD_FIELDS)
        case 2:
            return draw(WILD_FIELDS) + encoded
        case 3:
            place = draw(st.integers(0, len(encoded)))
            return encoded[:place] + draw(st.binary(max_size=4)) + encoded[place:]
        case _:
            return encoded


@pytest.fixture(scope="session")
def fuzzed() -> Callable[[Descriptor], st.SearchStrategy[bytes]]:
    """Requests of a type as bytes."""
    return request_bytes
