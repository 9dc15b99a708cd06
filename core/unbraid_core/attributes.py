"""The attributes of a catalogue: what items can be filtered by.

They are the column ``categories`` and all columns that the catalogue has beside the fixed ones. Each is arranged for
filtering when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

import numpy as np
import pyarrow as pa

from unbraid_core.attribute_column import AttributeColumn, RangeColumn, TextColumn
from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import InvalidInput
from unbraid_core.filter import AttributeKind, Condition, Filter, condition_field
from unbraid_core.types import BoolArray

__all__ = ["Attributes"]

NOT_ATTRIBUTES = ("item_id", "title")
HOW_TO_ASK = {
    AttributeKind.TEXT: "text; ask for any, all or none of some values",
    AttributeKind.NUMBER: "a number; ask for a range of numbers",
    AttributeKind.TIME: "a time; ask for a range of times",
    AttributeKind.FLAG: "a flag; ask whether it is set",
}


class Attributes:
    """Answers which items match a filter. Safe to use from several threads at once.

    Args:
        catalogue: the items; its table stays mapped, and what was arranged is kept.

    Attributes:
        kinds: of every attribute that can be filtered by, in the order of the catalogue.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._table = catalogue.table
        self._columns: dict[str, AttributeColumn] = {}
        self.kinds: Mapping[str, AttributeKind] = {
            field.name: kind
            for field in catalogue.table.schema
            if field.name not in NOT_ATTRIBUTES and (kind := _kind(field.type)) is not None
        }

    @property
    def size_bytes(self) -> int:
        """How much memory the attributes take that were asked for so far."""
        return sum(column.size_bytes for column in self._columns.values())

    def check(self, wanted: Filter) -> None:
        """Whether this catalogue can answer a filter.

        Raises:
            InvalidInput: it has no such attribute, or one of another kind.
        """
        for position, condition in enumerate(wanted.conditions):
            kind = self.kinds.get(condition.attribute)
            if kind is None:
                raise InvalidInput(f"{condition_field(position)}.attribute", self._unknown(condition.attribute))
            if kind is not condition.kind:
                problem = f"{condition.attribute!r} is {HOW_TO_ASK[kind]}"
                raise InvalidInput(condition_field(position), problem)

    def most_matching(self, wanted: Filter) -> int:
        """An upper bound of how many items match, from the counts of each condition.

        Raises:
            InvalidInput: as ``check``.
        """
        self.check(wanted)
        return min(self._most_matching(condition) for condition in wanted.conditions)

    def matching(self, wanted: Filter) -> BoolArray:
        """Which items match: bool [I].

        The conditions that fewest items can meet come first, and as soon as none is left the others are not asked.

        Raises:
            InvalidInput: as ``check``.
        """
        if self.most_matching(wanted) == 0:
            return np.zeros(len(self._table), np.bool_)
        first, *others = sorted(wanted.conditions, key=self._most_matching)
        matching_I = self._column(first.attribute).matching(first)
        for condition in others:
            if not matching_I.any():
                break
            matching_I &= self._column(condition.attribute).matching(condition)
        return matching_I

    def _most_matching(self, condition: Condition) -> int:
        return self._column(condition.attribute).most_matching(condition)

    def _column(self, name: str) -> AttributeColumn:
        # Two threads may arrange the same attribute at once; one of the equal columns stays.
        if name not in self._columns:
            # A catalogue keeps every column in one piece.
            column = self._table.column(name).chunks[0]
            ranged = self.kinds[name] in (AttributeKind.NUMBER, AttributeKind.TIME)
            self._columns[name] = RangeColumn.of(column) if ranged else TextColumn.of(column)
        return self._columns[name]

    def _unknown(self, name: str) -> str:
        if name in NOT_ATTRIBUTES:
            return f"{name!r} is not filtered by; send allowed_item_ids or excluded_item_ids"
        nearest = get_close_matches(name, self.kinds, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        return f"this release has no attribute {name!r}; {hint}it has {', '.join(self.kinds)}"


def _kind(stored: pa.DataType) -> AttributeKind | None:
    """What an Arrow type is to a filter; None where there is no way to ask for it."""
    if pa.types.is_dictionary(stored) or pa.types.is_list(stored) or pa.types.is_large_list(stored):
        return AttributeKind.TEXT if _kind(stored.value_type) is AttributeKind.TEXT else None
    if pa.types.is_string(stored) or pa.types.is_large_string(stored):
        return AttributeKind.TEXT
    if pa.types.is_integer(stored) or pa.types.is_floating(stored) or pa.types.is_decimal(stored):
        return AttributeKind.NUMBER
    if pa.types.is_timestamp(stored) or pa.types.is_date(stored):
        return AttributeKind.TIME
    return AttributeKind.FLAG if pa.types.is_boolean(stored) else None
