"""The Encoder port over a PyTorch module, for validation while a model is trained."""

from __future__ import annotations

import torch

from unbraid_core.types import HistoryBatch, InterestBatch
from unbraid_training.encoder import MultiInterestEncoder

__all__ = ["TorchEncoder"]


class TorchEncoder:
    """Runs a MultiInterestEncoder without dropout or gradients, where it lies."""

    def __init__(self, encoder: MultiInterestEncoder) -> None:
        self._encoder = encoder.eval()
        self._device = next(encoder.parameters()).device

    def encode(self, batch: HistoryBatch) -> InterestBatch:
        """See the Encoder port."""
        arrays = (batch.item_vectors_BLD, batch.age_s_BL, batch.action_BL, batch.mask_BL)
        with torch.inference_mode():
            inputs = (torch.from_numpy(array).to(self._device) for array in arrays)
            interests_BKD, assignment_BKL = self._encoder(*inputs)
        return InterestBatch(interests_BKD.cpu().numpy(), assignment_BKL.cpu().numpy())
