"""The item encoder as PyTorch has it: tokens of an item's text to its vector, for items without a correction."""

from __future__ import annotations

from torch import Tensor, nn

from unbraid_training.content.text_encoder import TextEncoder
from unbraid_training.item_vectors import Projection

__all__ = ["ItemEncoder"]


class ItemEncoder(nn.Module):
    """A text encoder and the trained projection behind it.

    Args:
        text: tokens to features.
        projection: features to unit vectors.
    """

    def __init__(self, text: TextEncoder, projection: Projection) -> None:
        super().__init__()
        self.text = text
        self.projection = projection

    def forward(self, token_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """Unit vectors [B, D] of right-padded token ids int64 [B, L]; ``mask_BL`` is true where there is one."""
        vectors_BD: Tensor = self.projection(self.text.forward(token_BL, mask_BL))
        return vectors_BD
