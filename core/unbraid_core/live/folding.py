"""The changes of a catalogue folded in: the living items of a release, as those of the next one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from unbraid_core.catalogue import Catalogue
from unbraid_core.factors import Factors
from unbraid_core.item_statistics import ItemStatistics
from unbraid_core.live.delta import Delta
from unbraid_core.live.stacked_rows import StackedRows
from unbraid_core.neighbours import Neighbours
from unbraid_core.ranker_inputs import RankerInputs
from unbraid_core.types import FloatArray, IntArray

__all__ = ["FoldedItems", "fold"]


@dataclass(frozen=True, slots=True, eq=False)
class FoldedItems:
    """What the files of a release say about its items, row by row.

    Attributes:
        catalogue: the I items.
        item_vectors_ID: unit vectors.
        log_popularity_I: as in a release.
        ranker_inputs: what profile ``learned`` reads, None where the release has no ranker.
    """

    catalogue: Catalogue
    item_vectors_ID: FloatArray
    log_popularity_I: FloatArray
    ranker_inputs: RankerInputs | None


def fold(delta: Delta) -> FoldedItems:
    """The living items of a delta: those of the release in their order, then the added ones."""
    released, added = delta.released, delta.added
    living_I = np.flatnonzero(~delta.tombstone_I)
    inputs = released.ranker_inputs
    return FoldedItems(
        catalogue=Catalogue(pa.concat_tables([released.catalogue.table, delta.table]).take(living_I)),
        item_vectors_ID=StackedRows(released.item_vectors_ID, added.vector_ND)[living_I],
        log_popularity_I=StackedRows(released.log_popularity_I, added.log_popularity_N)[living_I],
        ranker_inputs=None if inputs is None else _ranker_inputs(inputs, delta, living_I),
    )


def _ranker_inputs(released: RankerInputs, delta: Delta, living_I: IntArray) -> RankerInputs:
    factors, statistics, added = released.factors, released.statistics, delta.added
    return RankerInputs(
        neighbours=_neighbours(released.neighbours, delta, living_I),
        factors=Factors(
            StackedRows(factors.vector_IF, added.factor_NF)[living_I], factors.confidence, factors.regularisation
        ),
        statistics=ItemStatistics(
            StackedRows(statistics.value_IS[:], added.statistic_NS)[living_I], statistics.reference_time_s
        ),
        depth=released.depth,
    )


def _neighbours(released: Neighbours, delta: Delta, living_I: IntArray) -> Neighbours:
    """The neighbours of every living item among the living; a new item has none, and is none of any other."""
    row_count, behind_I = delta.released_count, living_I - delta.released_count
    is_added_I = behind_I >= 0
    origin_I = living_I.copy()
    origin_I[is_added_I] = delta.added.origin_N[behind_I[is_added_I]]
    # Where each row of the release went to: to that of the item that it has become, or nowhere.
    following_R = np.full(row_count, -1, np.int64)
    known_I = origin_I >= 0
    following_R[origin_I[known_I]] = np.flatnonzero(known_I)
    row_IM = following_R[released.row_IM[origin_I]]
    is_lost_IM = (row_IM < 0) | ~known_I[:, None]
    return replace(
        released,
        row_IM=np.where(is_lost_IM, 0, row_IM).astype(np.int32),
        weight_IM=np.where(is_lost_IM, np.float32(0), released.weight_IM[origin_I]),
    )
