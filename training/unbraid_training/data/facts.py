"""What a data set is, in a few numbers."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from pydantic import BaseModel, ConfigDict

from unbraid_training.data.dataset import Dataset

__all__ = ["DataFacts"]


class DataFacts(BaseModel):
    """Sizes and span of a data set, and how much of it is trained on.

    Attributes:
        event_count, user_count, item_count: of all events.
        first_time, last_time: of the oldest and newest event, UTC.
        median_history: events of the middle one of the users with events.
        actions: events by action, the unspecified one as an empty string.
        training_event_count, training_user_count, training_item_count: of what the split leaves.
    """

    model_config = ConfigDict(frozen=True)

    event_count: int
    user_count: int
    item_count: int
    first_time: datetime
    last_time: datetime
    median_history: float
    actions: dict[str, int]
    training_event_count: int
    training_user_count: int
    training_item_count: int

    @classmethod
    def of(cls, dataset: Dataset, training: Dataset) -> DataFacts:
        """Count what is in a data set, and in the part of it that is trained on."""
        length_U, training_length_U = np.diff(dataset.offset_U1), np.diff(training.offset_U1)
        count_A = np.bincount(dataset.action_E, minlength=len(dataset.actions))
        first, last = (
            datetime.fromtimestamp(float(time_s), UTC) for time_s in (dataset.time_s_E.min(), dataset.time_s_E.max())
        )
        return cls(
            event_count=len(dataset),
            user_count=int((length_U > 0).sum()),
            item_count=len(dataset.catalogue),
            first_time=first,
            last_time=last,
            median_history=float(np.median(length_U[length_U > 0])),
            actions=dict(zip(dataset.actions, count_A.tolist(), strict=True)),
            training_event_count=len(training),
            training_user_count=int((training_length_U > 0).sum()),
            training_item_count=len(training.catalogue),
        )
