"""Items of the catalogue, and what became of them, as plain immutable values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["AttributeValue", "DeleteResult", "Item", "ItemPage", "ItemsResult", "UpsertResult"]

AttributeValue = str | bool | int | float | datetime | Sequence[str]
"""A value of an attribute; datetimes are aware, and a sequence of strings comes back as a tuple."""


@dataclass(frozen=True, slots=True)
class Item:
    """What the catalogue says about an item.

    Attributes:
        vector: where it lies in the vector space, D floats. To upsert an item without one keeps its place, or lets the
            release make one of what the item says. In answers it is there where it was asked for.
    """

    item_id: str
    title: str = ""
    categories: Sequence[str] = ()
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    vector: Sequence[float] | None = None


@dataclass(frozen=True, slots=True)
class UpsertResult:
    """The items are as they were sent; ``sequence`` is the number of the last change that the server has applied."""

    release_id: str
    added_count: int
    sequence: int


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """The items are gone; ``deleted_count`` of them were there before."""

    release_id: str
    deleted_count: int
    sequence: int


@dataclass(frozen=True, slots=True)
class ItemsResult:
    """Items that were asked for, and the ids of those that are not in the catalogue."""

    release_id: str
    space_id: str
    items: tuple[Item, ...]
    missing_item_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ItemPage:
    """A page of the catalogue in the order of ids; ``next_page_token`` is empty after the last one."""

    release_id: str
    space_id: str
    items: tuple[Item, ...]
    next_page_token: str
    item_count: int
