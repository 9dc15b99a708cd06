"""What is known of the items behind those of a release, in parallel arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from unbraid_core.live.newcomers import expected_values, nearest_rows
from unbraid_core.live.released_items import ReleasedItems
from unbraid_core.live.stacked_rows import RowSource
from unbraid_core.types import BoolArray, FloatArray, IntArray

__all__ = ["AddedItems"]


@dataclass(frozen=True, slots=True, eq=False)
class AddedItems:
    """N items.

    Attributes:
        vector_ND: unit vectors.
        is_from_text_N: whether a vector was made of what the item says.
        origin_N: row of the item in the release, -1 for one that the release does not have.
        log_popularity_N: as in a release.
        statistic_NS, factor_NF: as in ``RankerInputs``; without columns where the release has no ranker.
    """

    vector_ND: FloatArray
    is_from_text_N: BoolArray
    origin_N: IntArray
    log_popularity_N: FloatArray
    statistic_NS: FloatArray
    factor_NF: FloatArray

    @classmethod
    def of(cls, released: ReleasedItems, vector_ND: FloatArray, is_from_text_N: BoolArray, origin_N: IntArray) -> Self:
        """Items of the release keep all but their vectors; nothing but where they lie is known of the others."""
        new_N = np.flatnonzero(origin_N < 0)
        near_NM = nearest_rows(released.searcher, vector_ND[new_N])

        def values(value_I: RowSource) -> FloatArray:
            own_N: FloatArray = np.array(value_I[np.maximum(origin_N, 0)])
            own_N[new_N] = expected_values(value_I, near_NM)
            return own_N

        inputs = released.ranker_inputs
        nothing_N0 = np.empty((len(vector_ND), 0), np.float32)
        return cls(
            vector_ND=vector_ND,
            is_from_text_N=is_from_text_N,
            origin_N=origin_N,
            log_popularity_N=values(released.log_popularity_I),
            statistic_NS=nothing_N0 if inputs is None else values(inputs.statistics.value_IS),
            factor_NF=nothing_N0 if inputs is None else values(inputs.factors.vector_IF),
        )

    def __len__(self) -> int:
        """N."""
        return len(self.origin_N)

    def followed_by(self, others: Self) -> Self:
        """These items and others behind them."""
        own, further = self._arrays(), others._arrays()
        return type(self)(**{name: np.concatenate([own[name], further[name]]) for name in own})

    def take(self, kept_N: IntArray) -> Self:
        """Some of the items, in the given order."""
        return type(self)(**{name: array[kept_N] for name, array in self._arrays().items()})

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {field.name: getattr(self, field.name) for field in fields(self)}
