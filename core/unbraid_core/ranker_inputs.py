"""What profile ``learned`` reads besides the interests: two more sources, popular items, and item statistics."""

from __future__ import annotations

from dataclasses import dataclass

from unbraid_core.factors import Factors
from unbraid_core.item_statistics import ItemStatistics
from unbraid_core.neighbours import Neighbours

__all__ = ["RankerInputs"]


@dataclass(frozen=True, slots=True, eq=False)
class RankerInputs:
    """Sources and statistics over one catalogue.

    Attributes:
        neighbours: items that go with those of a history.
        factors: of the same items.
        statistics: of the same items.
        depth: how many candidates each source brings.
        product: whether the ranker reads the products of ``interactions`` behind the features.
    """

    neighbours: Neighbours
    factors: Factors
    statistics: ItemStatistics
    depth: int
    product: bool = False
