"""What can rank: a table of the heads by their names, and how the one that is asked for is fitted."""

from __future__ import annotations

from collections.abc import Sequence

from unbraid_training.ranker.booster import BoosterRanker, fit_booster
from unbraid_training.ranker.config import HeadName, RankerConfig
from unbraid_training.ranker.examples import RankerExamples
from unbraid_training.ranker.network import NetworkRanker, fit_network

__all__ = ["HEADS", "Head", "fit_head"]

Head = BoosterRanker | NetworkRanker

HEADS: dict[HeadName, type[BoosterRanker] | type[NetworkRanker]] = {
    "trees": BoosterRanker,
    "interactions": NetworkRanker,
}


def fit_head(parts: Sequence[RankerExamples], config: RankerConfig, seed: int) -> Head:
    """Fit the head that the settings name to examples with the columns that it reads."""
    if config.head == "interactions":
        return fit_network(parts, config.network, seed)
    return fit_booster(parts, config, seed)
