"""The Encoder port over a PyTorch module, for validation while a model is trained."""

from __future__ import annotations

import torch

from unbraid_core.types import HistoryBatch, InterestBatch
from unbraid_training.encoder import MultiInterestEncoder

__all__ = ["TorchEncoder"]


class TorchEncoder:
    """Runs a MultiInterestEncoder without dropout or gradients."""

    def __init__(self, encoder: MultiInterestEncoder) -> None:
        self._encoder = encoder.eval()

    def encode(self, batch: HistoryBatch) -> InterestBatch:
        """See the Encoder port."""
        with torch.inference_mode():
            interests_BKD, assignment_BKL = self._encoder(
                torch.from_numpy(batch.item_vectors_BLD),
                torch.from_numpy(batch.age_s_BL),
                torch.from_numpy(batch.action_BL),
                torch.from_numpy(batch.mask_BL),
            )
        return InterestBatch(interests_BKD.numpy(), assignment_BKL.numpy())
