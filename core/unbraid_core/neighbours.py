"""Co-occurrence neighbours: items that go together with what a user did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unbraid_core.decay import log_survival
from unbraid_core.types import DoubleArray, FloatArray, History, RowArray

__all__ = ["Neighbours"]


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """The M closest neighbours of every item.

    Attributes:
        row_IM: int32 rows of the neighbours; where an item has fewer, any row with weight 0.
        weight_IM: how strongly each follows from the item; of either sign.
        half_life_s: how fast the say of an event fades.
    """

    row_IM: RowArray
    weight_IM: FloatArray
    half_life_s: float

    def score(self, history: History, now_s: float) -> DoubleArray:
        """Sum over the distinct items of a history of fading times weight, for every item: float64 [I].

        Only the newest event on each item speaks.
        """
        own_row_U, last_from_end_U = np.unique(history.row_N[::-1], return_index=True)
        age_s_U = now_s - history.time_s_N[::-1][last_from_end_U]
        said_UM = self.weight_IM[own_row_U] * np.exp(log_survival(age_s_U, self.half_life_s))[:, None]
        score_I = np.bincount(self.row_IM[own_row_U].ravel(), said_UM.ravel(), len(self.row_IM))
        return score_I.astype(np.float64, copy=False)
