"""Filters: which items may be recommended, by what the catalogue says about them.

A filter is a list of conditions that all have to hold. An item that has no value for an attribute meets no condition on
it, except that it has none of some values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from unbraid_core.errors import InvalidInput

__all__ = [
    "MAX_CONDITIONS",
    "MAX_VALUES",
    "AttributeKind",
    "Condition",
    "Filter",
    "FlagCondition",
    "Match",
    "RangeCondition",
    "TextCondition",
    "condition_field",
]

MAX_CONDITIONS = 32
MAX_VALUES = 1_000


class AttributeKind(StrEnum):
    """What values an attribute has; a text attribute has one or several."""

    TEXT = "text"
    NUMBER = "number"
    TIME = "time"
    FLAG = "flag"


class Match(StrEnum):
    """How many of some values an item has to have."""

    ANY = "any"
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class TextCondition:
    """An item has any, all or none of some values. A value that no item has is no mistake."""

    attribute: str
    match: Match
    values: tuple[str, ...]

    @property
    def kind(self) -> AttributeKind:
        """Of the attributes that it is for."""
        return AttributeKind.TEXT

    def check(self, field: str) -> None:
        """Refuse what cannot be meant.

        Raises:
            InvalidInput: no values or more than 1000.
        """
        if not self.values:
            raise InvalidInput(field, "names no value; name at least one, or leave the condition out")
        if len(self.values) > MAX_VALUES:
            raise InvalidInput(field, f"names {len(self.values)} values; name at most {MAX_VALUES}")


@dataclass(frozen=True, slots=True)
class RangeCondition:
    """A number, or a time in epoch seconds, lies between two bounds; a bound that is None does not limit."""

    attribute: str
    kind: AttributeKind
    least: float | None = None
    most: float | None = None
    least_excluded: bool = False
    most_excluded: bool = False

    @property
    def closed(self) -> tuple[float, float]:
        """The same range with both bounds within it; what is excluded ends at the neighbouring number."""
        least = -math.inf if self.least is None else self.least
        most = math.inf if self.most is None else self.most
        return (
            math.nextafter(least, math.inf) if self.least_excluded else least,
            math.nextafter(most, -math.inf) if self.most_excluded else most,
        )

    def check(self, field: str) -> None:
        """Refuse what cannot be meant.

        Raises:
            InvalidInput: no bound, a bound that is not a number, or bounds with nothing between them.
        """
        if self.least is None and self.most is None:
            raise InvalidInput(field, "has no bound; give at least one, or leave the condition out")
        for name, bound in (("least", self.least), ("most", self.most)):
            if bound is not None and not math.isfinite(bound):
                raise InvalidInput(field, f"the {name} value is {bound}; give a finite number, or no bound")
        least, most = self.closed
        if least > most:
            raise InvalidInput(field, f"nothing lies from {self.least} to {self.most}; give the smaller bound first")


@dataclass(frozen=True, slots=True)
class FlagCondition:
    """A flag is set, or is not; the same as to have the value ``true`` or ``false``."""

    attribute: str
    value: bool

    @property
    def match(self) -> Match:
        """See ``TextCondition``."""
        return Match.ANY

    @property
    def values(self) -> tuple[str, ...]:
        """See ``TextCondition``."""
        return ("true" if self.value else "false",)

    @property
    def kind(self) -> AttributeKind:
        """Of the attributes that it is for."""
        return AttributeKind.FLAG

    def check(self, field: str) -> None:
        """Nothing can be wrong with it."""


Condition = TextCondition | RangeCondition | FlagCondition


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that all have to hold; at least one.

    Raises:
        InvalidInput: a condition cannot be meant, or there are none or more than 32; the field is its path in a
            request.
    """

    conditions: tuple[Condition, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.conditions) <= MAX_CONDITIONS:
            raise InvalidInput(
                "filter.conditions", f"{len(self.conditions)} conditions; send from 1 to {MAX_CONDITIONS}"
            )
        for position, condition in enumerate(self.conditions):
            condition.check(condition_field(position))


def condition_field(position: int) -> str:
    """The path of a condition in a request."""
    return f"filter.conditions[{position}]"
