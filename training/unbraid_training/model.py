"""What is trained together: the encoder, the item vectors and the half-lives."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from unbraid_training.config import TrainConfig
from unbraid_training.encoder import MultiInterestEncoder

__all__ = ["Model"]


class Model(nn.Module):
    """The encoder with one free vector per item and one log half-life per interest.

    Args:
        config: sizes and starting points.
        item_count: I.
        action_count: size of the action vocabulary.
    """

    def __init__(self, config: TrainConfig, item_count: int, action_count: int) -> None:
        super().__init__()
        self.encoder = MultiInterestEncoder(config.dimension, config.interest_count, action_count, config.dropout)
        self.items = nn.Embedding(item_count, config.dimension)
        low_s, high_s = config.half_life_range_s
        start_K = torch.linspace(math.log(low_s), math.log(high_s), config.interest_count)
        self.log_half_life_K = nn.Parameter(start_K)
        self._log_half_life_bounds = tuple(math.log(bound_s) for bound_s in config.half_life_bounds_s)

    def item_vectors(self) -> Tensor:
        """The unit vectors of all items [I, D]."""
        return nn.functional.normalize(self.items.weight, dim=-1)

    def half_life_s(self) -> Tensor:
        """The half-lives in seconds [K]."""
        return torch.exp(self.log_half_life_K)

    def bound_half_lives(self) -> None:
        """Bring half-lives that a step carried over a bound back to it."""
        with torch.no_grad():
            self.log_half_life_K.clamp_(*self._log_half_life_bounds)
