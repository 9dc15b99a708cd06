"""Co-occurrence neighbours: items that go together with what a user did."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from unbraid_core.decay import log_survival
from unbraid_core.types import DoubleArray, FloatArray, History, IntArray, RowArray

__all__ = ["Neighbours"]


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """The M closest neighbours of every item.

    Attributes:
        row_IM: int32 rows of the neighbours; where an item has fewer, any row with weight 0.
        weight_IM: how strongly each follows from the item; of either sign.
        half_life_s: how fast the say of an event fades.
        origin_N: of further rows behind the I: which row of the table each stands for, or -1 for an item that nothing
            goes together with.
    """

    row_IM: RowArray
    weight_IM: FloatArray
    half_life_s: float
    origin_N: IntArray = field(default_factory=lambda: np.empty(0, np.int64))

    def score(self, history: History, now_s: float) -> DoubleArray:
        """Sum over the distinct items of a history of fading times weight, for every row: float64 [I + N].

        Only the newest event on each item speaks.
        """
        own_row_U, last_from_end_U = np.unique(history.row_N[::-1], return_index=True)
        age_s_U = now_s - history.time_s_N[::-1][last_from_end_U]
        own_row_U = self._in_table(own_row_U)
        said_UM = self.weight_IM[own_row_U] * np.exp(log_survival(age_s_U, self.half_life_s))[:, None]
        said_UM[own_row_U < 0] = 0.0
        score_I = np.bincount(self.row_IM[own_row_U].ravel(), said_UM.ravel(), len(self.row_IM))
        score_N = np.where(self.origin_N >= 0, score_I[self.origin_N], 0.0)
        return np.concatenate([score_I, score_N]).astype(np.float64, copy=False)

    def _in_table(self, row_U: IntArray) -> IntArray:
        """The rows of the table that stand for given ones, -1 where none does."""
        behind_U = row_U - len(self.row_IM)
        in_table_U = row_U.copy()
        in_table_U[behind_U >= 0] = self.origin_N[behind_U[behind_U >= 0]]
        return in_table_U
