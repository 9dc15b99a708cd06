"""The item encoder as PyTorch has it: tokens of an item's text to its vector, for items without a correction."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unbraid_core.catalogue import Catalogue
from unbraid_core.release import ItemEncoderSpec
from unbraid_core.types import FloatArray
from unbraid_training.content.text_reader import TextReader
from unbraid_training.item_vectors import Projection

__all__ = ["ItemEncoder"]


class ItemEncoder(nn.Module):
    """A text encoder and the trained projection behind it.

    Args:
        reader: of the items' text.
        projection: its features to unit vectors.
    """

    def __init__(self, reader: TextReader, projection: Projection) -> None:
        super().__init__()
        self.reader = reader
        self.text = reader.encoder
        self.projection = projection

    @property
    def spec(self) -> ItemEncoderSpec:
        """What the manifest of an export says about it."""
        tokeniser = self.text.tokeniser
        return ItemEncoderSpec(
            tokeniser=tokeniser.kind, max_tokens=tokeniser.max_tokens, columns=list(self.reader.columns)
        )

    def forward(self, token_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """Unit vectors [B, D] of right-padded token ids int64 [B, L]; ``mask_BL`` is true where there is one."""
        vectors_BD: Tensor = self.projection(self.text.forward(token_BL, mask_BL))
        return vectors_BD

    def vectors(self, catalogue: Catalogue) -> FloatArray:
        """The unit vector of every item: float32 [I, D]."""
        with torch.inference_mode():
            vectors_ID: FloatArray = self.projection(torch.from_numpy(self.reader.features(catalogue))).numpy()
        return vectors_ID
