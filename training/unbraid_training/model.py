"""What is trained together: the encoder, the item vectors and how interests fade."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unbraid_training.config import TrainConfig
from unbraid_training.decay import Decay
from unbraid_training.encoder import MultiInterestEncoder
from unbraid_training.examples import TrainBatch
from unbraid_training.item_vectors import FreeVectors, ItemVectors

__all__ = ["Model"]


class Model(nn.Module):
    """The encoder with the vectors of the items and the decay of its interests.

    Args:
        config: sizes and starting points.
        item_count: I.
        action_count: size of the action vocabulary.
        items: what is trained of the items; by default a free vector for each.
    """

    def __init__(
        self, config: TrainConfig, item_count: int, action_count: int, items: ItemVectors | None = None
    ) -> None:
        super().__init__()
        self.encoder = MultiInterestEncoder(
            config.dimension, config.interest_count, action_count, config.dropout, config.encoder
        )
        self.items: ItemVectors = items or FreeVectors(item_count, config.dimension)
        self.decay = Decay(config.decay, config.interest_count)

    def item_vectors(self) -> Tensor:
        """The unit vectors of all items [I, D]."""
        return self.items.forward()

    def encode(self, item_vectors_ID: Tensor, batch: TrainBatch) -> tuple[Tensor, Tensor]:
        """Interests [B, K, D] and assignment [B, K, L] of the histories of a batch."""
        history_BLD = item_vectors_ID[batch.row_BL] * batch.mask_BL.unsqueeze(-1)
        interests_BKD, assignment_BKL = self.encoder(history_BLD, batch.age_s_BL, batch.action_BL, batch.mask_BL)
        return interests_BKD, assignment_BKL

    @torch.no_grad()
    def interest_of(self, item_vectors_ID: Tensor, row_B: Tensor) -> Tensor:
        """Index of the interest that an event with each item belongs to, seen on its own [B]."""
        none_B1 = torch.zeros_like(row_B).unsqueeze(1)
        _, assignment_BK1 = self.encoder(
            item_vectors_ID[row_B].unsqueeze(1), none_B1.float(), none_B1, torch.ones_like(none_B1, dtype=torch.bool)
        )
        interest_B: Tensor = assignment_BK1.squeeze(2).argmax(dim=1)
        return interest_B

    def half_life_s(self) -> Tensor:
        """The half-lives in seconds [K]."""
        return self.decay.half_life_s()
