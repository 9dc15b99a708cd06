"""The items of a release, as changes of the catalogue see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from unbraid_core.catalogue import Catalogue
from unbraid_core.categories import Categories
from unbraid_core.item_vectors import ItemVectors
from unbraid_core.ports import Searcher
from unbraid_core.ranker_inputs import RankerInputs
from unbraid_core.types import FloatArray

__all__ = ["EncodeItems", "ReleasedItems"]

EncodeItems = Callable[[Catalogue], FloatArray]
"""What items say about themselves to unit vectors [N, D]."""


@dataclass(frozen=True, slots=True, eq=False)
class ReleasedItems:
    """What stays as it is while the catalogue changes.

    Attributes:
        space_id: of the vectors.
        catalogue: the I items.
        item_vectors_ID: their unit vectors.
        searcher: over these vectors.
        log_popularity_I: as in ``Pipeline``.
        categories: of the catalogue; None where no item has any.
        ranker_inputs: what profile ``learned`` reads; None where there is none.
        encode: None where the release has no item encoder.
        sequence: number of the last change that the release has folded in.
    """

    space_id: str
    catalogue: Catalogue
    item_vectors_ID: ItemVectors
    searcher: Searcher
    log_popularity_I: FloatArray
    categories: Categories | None
    ranker_inputs: RankerInputs | None
    encode: EncodeItems | None
    sequence: int = 0
