"""Training examples: a history up to some event, and what the user did next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from unbraid_core.types import DoubleArray, IntArray
from unbraid_training.config import TrainConfig
from unbraid_training.data.dataset import Dataset
from unbraid_training.loss.targets import Targets

__all__ = ["Examples", "TrainBatch"]


@dataclass(frozen=True, eq=False)
class TrainBatch:
    """Histories as item rows (the vectors are gathered inside the step, they are trained), and their targets.

    ``newest_s_B`` is the time of the newest event of each history, float64.
    """

    row_BL: Tensor
    age_s_BL: Tensor
    action_BL: Tensor
    mask_BL: Tensor
    newest_s_B: Tensor
    targets: Targets

    def share(self, rank: int, rank_count: int) -> TrainBatch:
        """Every ``rank_count``-th example, beginning with that of the rank; there may be none."""
        return self._each(lambda tensor: tensor[rank::rank_count])

    def to(self, device: torch.device) -> TrainBatch:
        """The same on another device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def _each(self, change: Callable[[Tensor], Tensor]) -> TrainBatch:
        targets = {field.name: change(getattr(self.targets, field.name)) for field in fields(self.targets)}
        others = {field.name: change(getattr(self, field.name)) for field in fields(self) if field.name != "targets"}
        return TrainBatch(**others, targets=Targets(**targets))


class Examples:
    """Draws the examples of an epoch from a data set.

    A cut lies before an event of a user, and never between two events of the same second, so a target is always later
    than the whole history. An epoch takes 2 E / T cuts, each at most once: with T targets a cut every event is a target
    about once, because the horizon holds fewer than T for many cuts and targets are drawn with replacement.

    Args:
        dataset: training events only.
        config: history length, targets per example, horizon, batch size.
    """

    def __init__(self, dataset: Dataset, config: TrainConfig) -> None:
        self._dataset = dataset
        self._config = config
        first_E = dataset.offset_U1[dataset.user_E]
        later_E = np.arange(len(dataset)) > first_E
        new_second_E = np.diff(dataset.time_s_E, prepend=-np.inf) != 0
        self._cut_E: IntArray = np.flatnonzero(later_E & new_second_E)
        self._epoch_size = min(len(self._cut_E), max(config.batch_size, 2 * len(dataset) // config.target_count))

    @property
    def cut_count(self) -> int:
        """Number of places where a history can be cut; 0 if no user has two events at different times."""
        return len(self._cut_E)

    @property
    def batch_count(self) -> int:
        """Batches in an epoch."""
        return -(-self._epoch_size // self._config.batch_size)

    def epoch(self, rng: np.random.Generator) -> Iterator[TrainBatch]:
        """The batches of one epoch; the same generator state gives the same epoch."""
        return self.some(self._epoch_size, rng)

    def some(self, count: int, rng: np.random.Generator) -> Iterator[TrainBatch]:
        """At most so many examples, in batches, each cut at most once."""
        cut_N = rng.choice(self._cut_E, min(count, len(self._cut_E)), replace=False)
        for start in range(0, len(cut_N), self._config.batch_size):
            yield self._batch(cut_N[start : start + self._config.batch_size], rng)

    def _batch(self, cut_B: IntArray, rng: np.random.Generator) -> TrainBatch:
        dataset, L = self._dataset, self._config.max_history
        user_B = dataset.user_E[cut_B].astype(np.int64)
        begin_B = np.maximum(dataset.offset_U1[user_B], cut_B - L)
        event_BL = begin_B[:, None] + np.arange(int((cut_B - begin_B).max()))
        mask_BL = event_BL < cut_B[:, None]
        event_BL = np.where(mask_BL, event_BL, begin_B[:, None])
        time_s_BL = dataset.time_s_E[event_BL]
        newest_s_B = dataset.time_s_E[cut_B - 1]
        age_s_BL = np.where(mask_BL, newest_s_B[:, None] - time_s_BL, 0.0)
        return TrainBatch(
            row_BL=torch.from_numpy(dataset.row_E[event_BL].astype(np.int64)),
            age_s_BL=torch.from_numpy(age_s_BL.astype(np.float32)),
            action_BL=torch.from_numpy(dataset.action_E[event_BL].astype(np.int64)),
            mask_BL=torch.from_numpy(mask_BL),
            newest_s_B=torch.from_numpy(newest_s_B),
            targets=self._targets(cut_B, user_B, age_s_BL, rng),
        )

    def _targets(self, cut_B: IntArray, user_B: IntArray, age_s_BL: DoubleArray, rng: np.random.Generator) -> Targets:
        """Later events within the horizon, drawn with replacement; the very next one always counts."""
        dataset, config = self._dataset, self._config
        newest_s_B = dataset.time_s_E[cut_B - 1]
        end_B = dataset.offset_U1[user_B + 1]
        latest_s_B = newest_s_B + config.target_horizon_s
        count_B = np.array(
            [
                np.searchsorted(dataset.time_s_E[cut:end], latest_s, side="right")
                for cut, end, latest_s in zip(cut_B, end_B, latest_s_B, strict=True)
            ]
        )
        draw_BT = rng.random((len(cut_B), config.target_count)) * np.maximum(count_B, 1)[:, None]
        draw_BT[:, 0] = 0
        event_BT = cut_B[:, None] + draw_BT.astype(np.int64)
        mask_BT = np.arange(config.target_count) < np.maximum(count_B, 1)[:, None]
        gap_s_BT = dataset.time_s_E[event_BT] - newest_s_B[:, None]
        return Targets(
            row_BT=torch.from_numpy(dataset.row_E[event_BT].astype(np.int64)),
            age_s_BTL=torch.from_numpy((gap_s_BT[:, :, None] + age_s_BL[:, None, :]).astype(np.float32)),
            mask_BT=torch.from_numpy(mask_BT),
        )
