"""What can be chosen about the learned profile."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["HeadName", "NetworkConfig", "RankerConfig"]

DAY_S = 86_400.0

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


HeadName = Literal["trees", "interactions"]


class NetworkConfig(BaseModel):
    """Settings of the interaction network.

    Attributes:
        hidden_count: units of each of its two hidden layers.
        epochs: passes over all examples.
        batch_size: examples a step.
        learning_rate: of the first step; it falls to 0.
        weight_decay: AdamW's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden_count: Count = 64
    epochs: Count = 4
    batch_size: Count = 4096
    learning_rate: Positive = 2e-3
    weight_decay: NotNegative = 0.01


class RankerConfig(BaseModel):
    """Settings of the ranker and its sources.

    Attributes:
        head: what ranks: gradient-boosted trees over the features, or a network that also reads the element-wise
            product of an item and the interest that speaks for it.
        network: settings of that network.
        origin_count: how many earlier moments it learns from, at which all sources are fitted anew; 0: no ranker. The
            first, where the validation window starts, calibrates it, so there have to be two.
        window_s: how long the windows of the other moments are, which lie half of that apart; none: as the first.
        user_count: at most so many users of each task at each origin.
        depth: candidates of each source.
        objective: of the gradient boosting. The log loss counts all pairs alike and knows how active a user is;
            LambdaRank (Burges 2010) counts what changes the NDCG within the list of a user.
        tree_count, leaf_count, learning_rate, leaf_example_count, feature_share, leaf_regularisation: of the gradient
            boosting, in the order of LightGBM's num_iterations, num_leaves, learning_rate, min_data_in_leaf,
            feature_fraction, lambda_l2.
        neighbour_count: M, neighbours of an item.
        neighbour_regularisation: lambda of EASE.
        ease_item_count: size of the catalogue up to which neighbours are those of EASE; shrunk cosines above it.
        neighbour_half_life_s: how fast an event loses its say.
        common_user_count: fewest users that two neighbours have in common.
        factor_count, factor_regularisation, factor_confidence: of iALS.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    head: HeadName = "trees"
    network: NetworkConfig = NetworkConfig()
    origin_count: Annotated[int, Field(ge=0)] = 4
    window_s: Positive | None = None
    user_count: Count = 3000
    depth: Count = 150
    objective: Literal["log-loss", "lambdarank"] = "log-loss"
    tree_count: Count = 100
    leaf_count: Annotated[int, Field(ge=2)] = 31
    learning_rate: Positive = 0.05
    leaf_example_count: Count = 200
    feature_share: Annotated[float, Field(gt=0, le=1)] = 0.4
    leaf_regularisation: NotNegative = 5.0
    neighbour_count: Count = 200
    neighbour_regularisation: Positive = 300.0
    ease_item_count: Count = 15_000
    neighbour_half_life_s: Positive = 180 * DAY_S
    common_user_count: Count = 2
    factor_count: Count = 128
    factor_regularisation: Positive = 50.0
    factor_confidence: Positive = 10.0
