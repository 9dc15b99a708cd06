"""The seam between texts and the model: a text encoder turns tokens into features, and is not trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from unbraid_core.types import FloatArray
from unbraid_index.content.tokeniser import Tokeniser, token_batches

__all__ = ["TextEncoder", "encode_texts"]


class TextEncoder(Protocol):
    """A PyTorch module from tokens to features, with the tokeniser that it was made for."""

    @property
    def tokeniser(self) -> Tokeniser:
        """What cuts the texts."""
        ...

    def forward(self, token_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """Features [B, F] of right-padded token ids int64 [B, L]; ``mask_BL`` is true where there is one."""
        ...

    def write(self, folder: Path) -> list[str]:
        """Write the files that ``open_text_encoder`` reads, and return their names."""
        ...


def encode_texts(encoder: TextEncoder, texts: Sequence[str]) -> FloatArray:
    """The features of texts, in batches of similar length: float32 [N, F]."""
    positions, features = [], []
    with torch.inference_mode():
        for position_B, batch in token_batches(encoder.tokeniser.tokens(texts)):
            positions.append(position_B)
            features.append(encoder.forward(*map(torch.from_numpy, batch)).numpy())
    features_NF: FloatArray = np.concatenate(features)[np.argsort(np.concatenate(positions))]
    return features_NF
