"""The categories of all items as numbers, for stages that compare many items at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from unbraid_core.catalogue import Catalogue
from unbraid_core.live.stacked_rows import StackedRows
from unbraid_core.ranked_text import distinct_pairs, ranked
from unbraid_core.types import FloatArray, IntArray

__all__ = ["Categories"]


@dataclass(frozen=True, slots=True, eq=False)
class Categories:
    """Which categories every row has; an item may have several, or none.

    Attributes:
        offset_I1: the codes of row i lie from ``offset_I1[i]`` to ``offset_I1[i + 1]``.
        code_N: the codes of all rows, ascending and distinct within a row.
        names: what each code stands for; in alphabetical order as far as a release goes.
    """

    offset_I1: IntArray | StackedRows[np.int64]
    code_N: IntArray | StackedRows[np.int64]
    names: list[str]

    @classmethod
    def of(cls, catalogue: Catalogue) -> Categories | None:
        """The categories of a catalogue; None where no item has any."""
        column = catalogue.table.column("categories").combine_chunks()
        row_N = pc.list_parent_indices(column).to_numpy()
        name_N: pa.Array[Any] = pc.list_flatten(column)
        names, code_N = ranked(name_N.drop_null())
        if len(names) == 0:
            return None
        row_N = row_N[name_N.is_valid().to_numpy(zero_copy_only=False)]
        row_N, code_N = distinct_pairs(row_N, code_N, len(names))
        offset_I1 = np.searchsorted(row_N, np.arange(len(catalogue) + 1))
        return cls(offset_I1, code_N, [str(name) for name in names.to_pylist()])

    @classmethod
    def none(cls, count: int) -> Categories:
        """Of so many rows without any."""
        return cls(np.zeros(count + 1, np.int64), np.empty(0, np.int64), [])

    def followed_by(self, category_lists: Sequence[Sequence[str]]) -> Categories:
        """These rows, and behind them others with the given categories; what is there is not copied."""
        names = dict.fromkeys(self.names)
        names |= {name: None for category_list in category_lists for name in category_list}
        code_of = {name: code for code, name in enumerate(names)}
        codes = [sorted({code_of[name] for name in category_list}) for category_list in category_lists]
        offsets = list(accumulate(map(len, codes), initial=len(self.code_N)))[1:]
        return Categories(
            _extended(self.offset_I1, np.array(offsets, np.int64)),
            _extended(self.code_N, np.array([code for row in codes for code in row], np.int64)),
            list(names),
        )

    def pairs(self, row_C: IntArray) -> tuple[IntArray, IntArray]:
        """Every category of some rows: the position of the row in ``row_C``, ascending, and the code."""
        start_C = self.offset_I1[row_C]
        count_C = self.offset_I1[row_C + 1] - start_C
        position_N = np.repeat(np.arange(len(row_C)), count_C)
        nth_N = np.arange(len(position_N)) - np.repeat(np.cumsum(count_C) - count_C, count_C)
        return position_N, self.code_N[start_C[position_N] + nth_N]

    def unit_indicators(self, row_C: IntArray) -> FloatArray:
        """Which categories each row has, as unit vectors without the categories that no two rows share: float32 [C, G].

        The inner product of two items is the number of categories that they share, over the geometric mean of how many
        each of them has: 1 for the same categories, 0 for disjoint ones and where an item has none.
        """
        position_N, code_N = self.pairs(row_C)
        count_C = np.bincount(position_N, minlength=len(row_C))
        shared_J = np.bincount(code_N, minlength=len(self.names)) > 1
        kept_N = shared_J[code_N]
        position_N, column_N = position_N[kept_N], (np.cumsum(shared_J) - 1)[code_N[kept_N]]
        indicator_CG = np.zeros((len(row_C), int(shared_J.sum())), np.float32)
        indicator_CG[position_N, column_N] = 1.0 / np.sqrt(count_C[position_N])
        return indicator_CG


def _extended(base: IntArray | StackedRows[np.int64], added: IntArray) -> StackedRows[np.int64]:
    return base.extended(added) if isinstance(base, StackedRows) else StackedRows(base, added)
