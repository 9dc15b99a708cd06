"""The attributes of a catalogue: what items can be filtered by.

They are the column ``categories`` and all columns that the catalogue has beside the fixed ones. Each is arranged for
filtering when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import numpy as np
import pyarrow as pa

from unbraid_core.attribute_column import AttributeColumn, RangeColumn, TextColumn
from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import InvalidInput
from unbraid_core.filter import AttributeKind, Condition, Filter, condition_field
from unbraid_core.types import BoolArray

__all__ = ["ArrangedItems", "Attributes"]

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
        parts: the items, in the order of their rows; all with the same columns.

    Attributes:
        kinds: of every attribute that can be filtered by, in the order of the catalogue.
    """

    def __init__(self, parts: Sequence[ArrangedItems]) -> None:
        self._parts = parts
        self.kinds = parts[0].kinds

    @classmethod
    def of(cls, catalogue: Catalogue) -> Attributes:
        """The attributes of the items of a catalogue."""
        return cls([ArrangedItems(catalogue.table)])

    def followed_by(self, table: pa.Table) -> Attributes:
        """These items and others behind them, with the same columns; what was arranged of these is shared."""
        return Attributes([*self._parts, ArrangedItems(table)]) if len(table) else self

    @property
    def size_bytes(self) -> int:
        """How much memory the attributes take that were asked for so far."""
        return sum(part.size_bytes for part in self._parts)

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
        return sum(part.most_matching(wanted.conditions) for part in self._parts)

    def matching(self, wanted: Filter) -> BoolArray:
        """Which items match: bool [I].

        Raises:
            InvalidInput: as ``check``.
        """
        self.check(wanted)
        return np.concatenate([part.matching(wanted.conditions) for part in self._parts])

    def _unknown(self, name: str) -> str:
        if name in NOT_ATTRIBUTES:
            return f"{name!r} is not filtered by; send allowed_item_ids or excluded_item_ids"
        nearest = get_close_matches(name, self.kinds, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        return f"this release has no attribute {name!r}; {hint}it has {', '.join(self.kinds)}"


class ArrangedItems:
    """Items whose attributes are arranged one by one, each when it is first asked for.

    Args:
        table: with the columns of a catalogue; it stays mapped.

    Attributes:
        kinds: of every attribute that can be filtered by.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._columns: dict[str, AttributeColumn] = {}
        self.kinds: Mapping[str, AttributeKind] = {
            field.name: kind
            for field in table.schema
            if field.name not in NOT_ATTRIBUTES and (kind := _kind(field.type)) is not None
        }

    @property
    def size_bytes(self) -> int:
        """How much memory the attributes take that were asked for so far."""
        return sum(column.size_bytes for column in self._columns.values())

    def most_matching(self, conditions: Sequence[Condition]) -> int:
        """An upper bound of how many items meet all conditions."""
        return min(self._most_matching(condition) for condition in conditions)

    def matching(self, conditions: Sequence[Condition]) -> BoolArray:
        """Which items meet all conditions: bool [I].

        The condition that fewest items can meet is asked first; as soon as no item is left, the others are not asked.
        """
        matching_I = np.ones(len(self._table), np.bool_)
        for condition in sorted(conditions, key=self._most_matching):
            if self._most_matching(condition) == 0:
                return np.zeros(len(self._table), np.bool_)
            matching_I &= self._column(condition.attribute).matching(condition)
            if not matching_I.any():
                break
        return matching_I

    def _most_matching(self, condition: Condition) -> int:
        return self._column(condition.attribute).most_matching(condition)

    def _column(self, name: str) -> AttributeColumn:
        # Two threads may arrange the same attribute at once; one of the equal columns stays.
        if name not in self._columns:
            # Combined, a column is in one piece.
            column = self._table.select([name]).combine_chunks().column(0).chunks[0]
            ranged = self.kinds[name] in (AttributeKind.NUMBER, AttributeKind.TIME)
            self._columns[name] = RangeColumn.of(column) if ranged else TextColumn.of(column)
        return self._columns[name]


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
