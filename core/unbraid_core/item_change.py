"""Changes of the catalogue: what an item has become, or that it is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from unbraid_core.types import FloatArray

__all__ = ["AttributeValue", "Item", "ItemChange", "ItemVector"]

AttributeValue = str | bool | int | float | datetime | tuple[str, ...]
"""Datetimes are aware, in UTC and of whole microseconds; floats are finite."""


@dataclass(frozen=True, slots=True)
class Item:
    """What a catalogue says about an item."""

    item_id: str
    title: str = ""
    categories: tuple[str, ...] = ()
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class ItemVector:
    """Where an item lies in a vector space.

    Attributes:
        space_id: of which space; it means nothing in any other.
        vector_D: unit length.
        is_from_text: whether an item encoder made it of what the item says, so that it changes with that.
    """

    space_id: str
    vector_D: FloatArray
    is_from_text: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ItemChange:
    """The latest that is known of an item.

    Attributes:
        item_id: which item.
        item: what it has become; None where it was deleted.
        vector: where it lies; None where it stays where the release has it.
        sequence: the number that the store gave it, 0 before.
    """

    item_id: str
    item: Item | None
    vector: ItemVector | None = None
    sequence: int = 0
