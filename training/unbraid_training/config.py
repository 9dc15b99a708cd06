"""What can be chosen about a training run."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from unbraid_training.ranker.config import RankerConfig

__all__ = ["DAY_S", "TrainConfig"]

DAY_S = 86_400.0

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class TrainConfig(BaseModel):
    """Settings of one run; stored in the checkpoint, so that a resumed run is the same run.

    Attributes:
        interest_count: K.
        dimension: D of the item vectors and interests.
        max_history: L, newest events that the encoder sees.
        temperature: divisor of inner products, in training and in the score.
        dropout: share of event features dropped.
        popularity_weight: weight of the fixed log popularity inside the softmax, so that the vectors learn what
            popularity does not explain.
        routing_weight: weight of the routing information in the loss.
        target_count: later events drawn as targets of one example.
        target_horizon_s: how far after the history a target may lie.
        half_life_range_s: the half-lives start log-spaced over this range.
        half_life_bounds_s: and never leave this one.
        batch_size: examples a step.
        learning_rate: Adam's, for the encoder.
        item_learning_rate: for the item vectors, which start near a good place and are only refined.
        half_life_learning_rate: half-lives need a rate of their own, else they stay where they start.
        epochs: at most.
        patience: epochs without a better validation NDCG@50 before training stops.
        seed: of everything random.
        ranker: of the learned profile.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    interest_count: Count = 4
    dimension: Count = 64
    max_history: Count = 50
    temperature: Positive = 0.1
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    popularity_weight: NotNegative = 0.5
    routing_weight: NotNegative = 0.5
    target_count: Count = 8
    target_horizon_s: Positive = 60 * DAY_S
    half_life_range_s: tuple[Positive, Positive] = (1 * DAY_S, 180 * DAY_S)
    half_life_bounds_s: tuple[Positive, Positive] = (DAY_S / 24, 3650 * DAY_S)
    batch_size: Count = 256
    learning_rate: Positive = 1e-3
    item_learning_rate: Positive = 1e-4
    half_life_learning_rate: Positive = 3e-2
    epochs: Count = 30
    patience: Count = 3
    seed: int = 1
    ranker: RankerConfig = RankerConfig()
