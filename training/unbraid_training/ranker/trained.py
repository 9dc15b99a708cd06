"""A trained ranker with all that an export needs of it."""

from __future__ import annotations

from dataclasses import dataclass

from unbraid_core.calibration import Calibration
from unbraid_core.ranker_inputs import RankerInputs
from unbraid_training.ranker.heads import Head

__all__ = ["TrainedRanker"]


@dataclass(frozen=True, slots=True, eq=False)
class TrainedRanker:
    """The learned profile.

    Attributes:
        head: the model.
        inputs: its sources and statistics, fitted on all training events.
        common_user_count: fewest users that two neighbours have in common.
        calibration: scores to probabilities.
        validation: metrics at one origin, of a ranker that learned from the others only.
    """

    head: Head
    inputs: RankerInputs
    common_user_count: int
    calibration: Calibration
    validation: dict[str, float]
