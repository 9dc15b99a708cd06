"""What the training events say about each item: popularity over several half-lives, ages, repeats, users.

A release holds these as one matrix. Popularity is a log share, so it does not change with time between two rebuilds;
ages are counted back from the newest training event and grow with the clock.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unbraid_core.live.popular_rows import PopularRows
from unbraid_core.live.stacked_rows import StackedRows
from unbraid_core.types import FloatArray, IntArray

__all__ = ["POPULARITY_HALF_LIFE_DAYS", "STATISTIC_NAMES", "ItemStatistics"]

POPULARITY_HALF_LIFE_DAYS = (1, 2, 7, 14, 30, 90, 180, 3650)

STATISTIC_NAMES = (
    *(f"log_popularity_{days}d" for days in POPULARITY_HALF_LIFE_DAYS),
    "first_seen_days",
    "last_seen_days",
    "repeat_rate",
    "log_user_count",
)

# What is popular at the moment, and what has been for a while.
POPULAR_COLUMNS = tuple(STATISTIC_NAMES.index(f"log_popularity_{days}d") for days in (2, 14))


class ItemStatistics:
    """Statistics of all items, in the columns of STATISTIC_NAMES.

    Args:
        value_IS: float32, finite.
        reference_time_s: time of the newest training event, from which ages are counted back.
        popular_row_PI: where it is known already.

    Attributes:
        popular_row_PI: all rows in the order of their popularity with half-lives of 2 and of 14 days, int64 [2, I].
    """

    def __init__(
        self,
        value_IS: FloatArray | StackedRows[np.float32],
        reference_time_s: float,
        popular_row_PI: Sequence[IntArray | PopularRows] | None = None,
    ) -> None:
        self.value_IS = value_IS
        self.reference_time_s = reference_time_s
        self.popular_row_PI = popular_row_PI or list(
            np.argsort(-value_IS[:][:, POPULAR_COLUMNS].T, axis=1, kind="stable")
        )
