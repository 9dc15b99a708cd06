"""How popular every item was at every moment of the training events.

A fixed term of the loss: what was in fashion on the day of an example needs no explanation by interests, so the vectors
learn what popularity does not explain. Popularity of the whole training time would leave the fashions of the day to the
vectors, and lets them see the future; figures in docs/architecture.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from unbraid_core.types import DoubleArray, FloatArray
from unbraid_training.config import DAY_S, PopularityTerm
from unbraid_training.data.dataset import Dataset
from unbraid_training.item_statistics import log_shares

__all__ = ["PopularityTimeline"]

# Of the table; with many items or years its steps get longer than a day.
LARGEST_TABLE_BYTES = 256 * 2**20


class PopularityTimeline:
    """Weighted sum of log popularities with several half-lives, as known at the start of each step.

    Args:
        dataset: training events.
        terms: half-lives and their weights.
        device: where it is asked for.
    """

    def __init__(self, dataset: Dataset, terms: tuple[PopularityTerm, ...], device: torch.device | None = None) -> None:
        item_count = len(dataset.catalogue)
        self._first_s = float(dataset.time_s_E.min())
        span_s = float(dataset.time_s_E.max()) - self._first_s
        step_count = min(int(span_s / DAY_S), LARGEST_TABLE_BYTES // (4 * item_count)) + 1
        self._step_s = max(DAY_S, span_s / step_count)
        table_SI: FloatArray = np.zeros((step_count, item_count), np.float32)
        for term in terms:
            for step, count_I in enumerate(self._counts(dataset, step_count, term.half_life_s)):
                table_SI[step] += term.weight * log_shares(count_I)
        self._table_SI = torch.from_numpy(table_SI).to(device)

    def at(self, time_s_B: Tensor) -> Tensor:
        """The popularity that was known at each moment [B, I]; moments are within the training time."""
        step_B = ((time_s_B - self._first_s) / self._step_s).long()
        return self._table_SI[step_B.clamp_max(len(self._table_SI) - 1)]

    def _counts(self, dataset: Dataset, step_count: int, half_life_s: float) -> Iterator[DoubleArray]:
        """Decayed counts of the events before each step; equal ones before the first."""
        order_E = np.argsort(dataset.time_s_E, kind="stable")
        start_s_S = self._first_s + self._step_s * np.arange(1, step_count)
        stop_S = np.searchsorted(dataset.time_s_E[order_E], start_s_S)
        fading = 2.0 ** (-self._step_s / half_life_s)
        count_I = np.zeros(len(dataset.catalogue))
        yield np.ones_like(count_I)
        for row_N in np.split(dataset.row_E[order_E], stop_S)[:-1]:
            count_I = fading * count_I + np.bincount(row_N, minlength=len(count_I))
            yield count_I
