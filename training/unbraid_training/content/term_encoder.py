"""TF-IDF and SVD as a PyTorch module: needs no pretrained model, and exports like one.

A text is the set of its terms: its TF-IDF vector has idf_t at each of them, and is scaled to unit length. The truncated
SVD of the vectors of all texts (Deerwester et al. 1990) makes features of it. But for the scaling both are linear, so a
row idf_t * V_t for each term is all that is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import svds
from torch import Tensor, nn

from unbraid_core.errors import InvalidInput
from unbraid_index.content.vocabulary import Vocabulary
from unbraid_training.tensor_files import save_tensors

__all__ = ["TERMS_FILE", "TermEncoder"]

TERMS_FILE = "terms.safetensors"
VOCABULARY_FILE = "vocabulary.json"
MAX_FEATURES = 512

# Keeps the division of a text without a known term from failing.
SHORTEST = 1e-6


class TermEncoder(nn.Module):
    """Features of a text's terms.

    Args:
        tokeniser: the V terms.
        idf_V: inverse document frequency of every term.
        projected_VF: idf times the term's row of the right singular vectors.
    """

    def __init__(self, tokeniser: Vocabulary, idf_V: Tensor, projected_VF: Tensor) -> None:
        super().__init__()
        self.tokeniser = tokeniser
        self.idf_V: Tensor
        self.projected_VF: Tensor
        self.register_buffer("idf_V", idf_V)
        self.register_buffer("projected_VF", projected_VF)

    @classmethod
    def fit(cls, texts: Sequence[str], seed: int) -> TermEncoder:
        """Count the terms of some texts and find the main directions of their TF-IDF vectors.

        Raises:
            InvalidInput: the texts share too few terms.
        """
        vocabulary = Vocabulary.of(texts)
        tokens = vocabulary.tokens(texts)
        feature_count = min(MAX_FEATURES, len(vocabulary.terms) - 1, len(texts) - 1)
        if feature_count < 1:
            raise InvalidInput(
                "item_text",
                f"is tfidf, but the {len(texts):,} items share {len(vocabulary.terms)} words; give them titles or "
                "categories, or train without their text",
            )
        offset_N1 = np.cumsum([0, *map(len, tokens)])
        token_E = np.fromiter((token for ids in tokens for token in ids), np.int64, offset_N1[-1])
        present_NV = csr_array((np.ones(len(token_E)), token_E, offset_N1), (len(texts), len(vocabulary.terms)))
        # Smoothed, so that a term of every text still counts.
        idf_V = 1.0 + np.log((1 + len(texts)) / (1 + present_NV.sum(axis=0)))
        length_N = np.sqrt(present_NV @ idf_V**2)
        unit_NV = diags_array(1.0 / np.maximum(length_N, SHORTEST)) @ present_NV @ diags_array(idf_V)
        start_N = np.random.default_rng(seed).normal(size=min(unit_NV.shape))
        _, _, right_FV = svds(unit_NV, k=feature_count, v0=start_N)
        projected_VF = np.ascontiguousarray(idf_V[:, None] * right_FV[::-1].T)
        return cls(vocabulary, torch.from_numpy(idf_V).float(), torch.from_numpy(projected_VF).float())

    @classmethod
    def open(cls, folder: Path) -> TermEncoder:
        """Read what ``write`` wrote."""
        return cls(Vocabulary.open(folder / VOCABULARY_FILE), **load_file(folder / TERMS_FILE))

    def forward(self, token_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """See TextEncoder; a text without a known term has features 0."""
        present_BL = mask_BL.to(self.idf_V.dtype)
        length_B1 = torch.sqrt((self.idf_V[token_BL].square() * present_BL).sum(dim=1, keepdim=True))
        sum_BF = (self.projected_VF[token_BL] * present_BL.unsqueeze(-1)).sum(dim=1)
        return sum_BF / length_B1.clamp_min(SHORTEST)

    def write(self, folder: Path) -> list[str]:
        """See TextEncoder."""
        self.tokeniser.write(folder / VOCABULARY_FILE)
        save_tensors(self.state_dict(), folder / TERMS_FILE)
        return [VOCABULARY_FILE, TERMS_FILE]
