"""Where changed items lie in the vector space of a release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

from unbraid_core.catalogue import Catalogue
from unbraid_core.item_change import Item, ItemVector
from unbraid_core.live.added_items import AddedItems
from unbraid_core.live.item_table import table_of
from unbraid_core.live.released_items import ReleasedItems

__all__ = ["Placement", "place"]


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """Items that have a place in the space, in parallel with what is known of them, and the ids of those without."""

    items: Sequence[Item]
    added: AddedItems
    homeless: frozenset[str]


def place(released: ReleasedItems, items: Sequence[Item], vectors: Sequence[ItemVector | None]) -> Placement:
    """Find a vector for every item.

    It is the one that came with the item, if that is of this space. Else it is that of the release, and where the
    release does not have the item, what its item encoder makes of the text.

    Raises:
        IncompatibleError, IntegrityError: the item encoder is needed and cannot be used.
    """
    origin_N = released.catalogue.rows([item.item_id for item in items])
    vector_ND = np.array(released.item_vectors_ID[np.maximum(origin_N, 0)])
    is_from_text_N = np.zeros(len(items), np.bool_)
    is_placed_N = origin_N >= 0
    for position, vector in enumerate(vectors):
        if vector is not None and vector.space_id == released.space_id:
            vector_ND[position] = vector.vector_D
            is_from_text_N[position] = vector.is_from_text
            is_placed_N[position] = True
    if released.encode is not None and not is_placed_N.all():
        unplaced = list(compress(items, ~is_placed_N))
        vector_ND[~is_placed_N] = released.encode(Catalogue(table_of(unplaced, released.catalogue.table.schema)))
        is_from_text_N |= ~is_placed_N
        is_placed_N[:] = True
    added = AddedItems.of(released, vector_ND[is_placed_N], is_from_text_N[is_placed_N], origin_N[is_placed_N])
    homeless = frozenset(item.item_id for item in compress(items, ~is_placed_N))
    return Placement(list(compress(items, is_placed_N)), added, homeless)
