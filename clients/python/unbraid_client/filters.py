"""Conditions that recommended items have to meet; those of one call all have to hold.

    client.recommend(user_id="42", conditions=[AnyOf("categories", ["Books", "Music"]), Numbers("price", below=20)])

Which attributes there are depends on the release; `categories` is one in every release. An item without a value for an
attribute meets no condition on it but `NoneOf`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from unbraid_client.types import Moment

__all__ = ["AllOf", "AnyOf", "Condition", "IsSet", "NoneOf", "Numbers", "Times"]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """A text attribute has at least one of some values; upper and lower case differ."""

    attribute: str
    values: Iterable[str]


@dataclass(frozen=True, slots=True)
class AllOf:
    """A text attribute with several values has all of these."""

    attribute: str
    values: Iterable[str]


@dataclass(frozen=True, slots=True)
class NoneOf:
    """A text attribute has not one of some values."""

    attribute: str
    values: Iterable[str]


@dataclass(frozen=True, slots=True)
class Numbers:
    """The attribute is a number within the given bounds; at least one is needed.

    Attributes:
        least, most: the smallest and the largest number that is within.
        above, below: numbers that are outside already.
    """

    attribute: str
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def __post_init__(self) -> None:
        """Refuse two bounds of one side.

        Raises:
            ValueError: both least and above, or both most and below.
        """
        for one, other in (("least", "above"), ("most", "below")):
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise ValueError(f"{self.attribute}: give {one} or {other}, not both")


@dataclass(frozen=True, slots=True)
class Times:
    """The attribute is a time from ``start`` on, and before ``end``; at least one is needed."""

    attribute: str
    start: Moment | None = None
    end: Moment | None = None


@dataclass(frozen=True, slots=True)
class IsSet:
    """The attribute is a flag that is set, or with ``value=False`` one that is not."""

    attribute: str
    value: bool = True


Condition = AnyOf | AllOf | NoneOf | Numbers | Times | IsSet
