"""The pipeline of a release over what its catalogue has become."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from unbraid_core.item_statistics import POPULAR_COLUMNS, ItemStatistics
from unbraid_core.live.added_items import AddedItems
from unbraid_core.live.delta import Delta
from unbraid_core.live.popular_rows import PopularRows
from unbraid_core.live.stacked_rows import StackedRows
from unbraid_core.pipeline import Pipeline
from unbraid_core.ports import Searcher
from unbraid_core.ranker_inputs import RankerInputs
from unbraid_core.types import BoolArray, FloatArray, IntArray

__all__ = ["live_pipeline"]


def live_pipeline(released: Pipeline, delta: Delta, searcher: Searcher) -> Pipeline:
    """A pipeline that answers from the items of a release and the changes since; no array of the release is copied.

    Args:
        released: of the release.
        delta: over the same release.
        searcher: over the living rows of both.
    """
    added, tombstone_I = delta.added, delta.tombstone_I
    log_popularity_I = StackedRows(released.log_popularity_I, added.log_popularity_N)
    inputs = released.ranker_inputs
    return replace(
        released,
        searcher=searcher,
        item_vectors_ID=StackedRows(released.item_vectors_ID, added.vector_ND),
        log_popularity_I=log_popularity_I,
        popular_row_I=PopularRows(released.popular_row_I[:], log_popularity_I.__getitem__, tombstone_I),
        tombstone_I=tombstone_I,
        ranker_inputs=None if inputs is None else _ranker_inputs(inputs, added, tombstone_I),
        categories=delta.categories,
        attributes=None if released.attributes is None else released.attributes.followed_by(delta.table),
    )


def _ranker_inputs(released: RankerInputs, added: AddedItems, tombstone_I: BoolArray) -> RankerInputs:
    """Nothing goes together with a new item yet; all else is known of it, or expected."""
    statistics = released.statistics
    value_IS = StackedRows(statistics.value_IS, added.statistic_NS)
    popular_row_PI = [
        PopularRows(popular_row_I[:], partial(_of_column, value_IS, column), tombstone_I)
        for column, popular_row_I in zip(POPULAR_COLUMNS, statistics.popular_row_PI, strict=True)
    ]
    return RankerInputs(
        neighbours=replace(released.neighbours, origin_N=added.origin_N),
        factors=released.factors.followed_by(added.factor_NF),
        statistics=ItemStatistics(value_IS, statistics.reference_time_s, popular_row_PI),
        depth=released.depth,
    )


def _of_column(value_IS: StackedRows[np.float32], column: int, rows: IntArray) -> FloatArray:
    return value_IS[rows][:, column]
