"""The delta: everything that changed in the catalogue since a release was built.

The items of a release keep their rows. Whatever an item becomes gets a new row behind all others, and its row before
that a tombstone; a deletion leaves nothing but the tombstone. A delta never changes; the next one shares with it what
it can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from unbraid_core.categories import Categories
from unbraid_core.item_change import ItemChange
from unbraid_core.live.added_items import AddedItems
from unbraid_core.live.item_table import table_of
from unbraid_core.live.placement import place
from unbraid_core.live.released_items import ReleasedItems
from unbraid_core.types import BoolArray

__all__ = ["Delta"]

# Dead rows among the added ones are dropped when they are more than the living ones, and more than this.
FEWEST_DROPPED = 1_000
# Arrow reads a few chunks about as fast as one.
MOST_CHUNKS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Delta:
    """Changes over the items of one release.

    Attributes:
        released: what was changed.
        added: the N items behind those of the release, dead ones among them.
        table: what they say, with the columns of the catalogue.
        categories: of the items of the release and the added ones; None where no item has any.
        row_of: rows of the living added items, counted from the first item of the release.
        tombstone_I: bool [I + N], which rows are dead.
        homeless: items that cannot be shown, because no vector of theirs lies in the space of the release.
        sequence: number of the last change.
        numbering: how often the added rows were given other numbers; while it is the same, so is what a row stands for.
    """

    released: ReleasedItems
    added: AddedItems
    table: pa.Table
    categories: Categories | None
    row_of: Mapping[str, int]
    tombstone_I: BoolArray
    homeless: frozenset[str]
    sequence: int
    numbering: int = 0

    @classmethod
    def none(cls, released: ReleasedItems) -> Delta:
        """Nothing has changed yet."""
        return cls(
            released=released,
            added=place(released, [], []).added,
            table=released.catalogue.table.slice(0, 0),
            categories=released.categories,
            row_of={},
            tombstone_I=np.zeros(len(released.catalogue), np.bool_),
            homeless=frozenset(),
            sequence=released.sequence,
        )

    @property
    def released_count(self) -> int:
        """I, the rows of the release, living or dead."""
        return len(self.released.catalogue)

    @property
    def replaced_count(self) -> int:
        """Items of the release that have become another or are gone."""
        return int(np.count_nonzero(self.tombstone_I[: self.released_count]))

    def row(self, item_id: str) -> int:
        """The living row of an item, -1 where there is none."""
        row = self.row_of.get(item_id, -1)
        if row < 0:
            row = self.released.catalogue.row(item_id)
            return -1 if row < 0 or self.tombstone_I[row] else row
        return row

    def followed_by(self, changes: Sequence[ItemChange]) -> Delta:
        """This delta and further changes, at most one for each item, the last one with the largest number.

        Raises:
            IncompatibleError, IntegrityError: the item encoder is needed and cannot be used.
        """
        upserts = [(change.item, change.vector) for change in changes if change.item is not None]
        placement = place(self.released, [item for item, _ in upserts], [vector for _, vector in upserts])
        row_of, tombstone_I = self._without(changes, room_for=len(placement.items))
        first_row = len(self.tombstone_I)
        row_of |= {item.item_id: row for row, item in enumerate(placement.items, start=first_row)}
        further = table_of(placement.items, self.table.schema)
        following = replace(
            self,
            added=self.added.followed_by(placement.added),
            table=_joined(self.table, further),
            categories=_with_categories(self.categories, first_row, further),
            row_of=row_of,
            tombstone_I=tombstone_I,
            homeless=self.homeless.difference(change.item_id for change in changes) | placement.homeless,
            sequence=changes[-1].sequence if changes else self.sequence,
        )
        return _without_many_dead_rows(following)

    def _without(self, changes: Sequence[ItemChange], room_for: int) -> tuple[dict[str, int], BoolArray]:
        """Rows and tombstones when what the changed items were is dead, with room for further rows."""
        row_of = dict(self.row_of)
        tombstone_I = np.zeros(len(self.tombstone_I) + room_for, np.bool_)
        tombstone_I[: len(self.tombstone_I)] = self.tombstone_I
        for change in changes:
            for row in (row_of.pop(change.item_id, -1), self.released.catalogue.row(change.item_id)):
                if row >= 0:
                    tombstone_I[row] = True
        return row_of, tombstone_I


def _joined(table: pa.Table, further: pa.Table) -> pa.Table:
    joined = pa.concat_tables([table, further])
    return joined.combine_chunks() if joined.column(0).num_chunks > MOST_CHUNKS else joined


def _with_categories(categories: Categories | None, row_count: int, further: pa.Table) -> Categories | None:
    """The categories of so many rows and of those behind them."""
    category_lists = [names or [] for names in further.column("categories").to_pylist()]
    if categories is None and not any(category_lists):
        return None
    return (categories or Categories.none(row_count)).followed_by(category_lists)


def _without_many_dead_rows(delta: Delta) -> Delta:
    """Drop the dead rows among the added ones where they are many: so their number is bounded by that of the living."""
    living_count = len(delta.row_of)
    if len(delta.added) - living_count <= max(FEWEST_DROPPED, living_count):
        return delta
    released_count = delta.released_count
    kept_N = np.flatnonzero(~delta.tombstone_I[released_count:])
    table = delta.table.take(kept_N).combine_chunks()
    return replace(
        delta,
        added=delta.added.take(kept_N),
        table=table,
        categories=_with_categories(delta.released.categories, released_count, table),
        row_of={str(item_id): released_count + n for n, item_id in enumerate(table.column("item_id").to_pylist())},
        tombstone_I=np.concatenate([delta.tombstone_I[:released_count], np.zeros(living_count, np.bool_)]),
        numbering=delta.numbering + 1,
    )
