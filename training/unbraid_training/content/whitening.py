"""Whitening: features without a common direction and with equal variance, so that a map of them is well-conditioned.

Sentence encoders put all texts into a narrow cone (Su et al. 2021, arXiv:2103.15316): what the texts share drowns what
tells them apart.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Whitening"]

# Directions of less variance, as a share of the mean over all, are noise of the computation.
VARIANCE_FLOOR = 1e-6


class Whitening(nn.Module):
    """(features - mean) times the leading eigenvectors of the covariance, each scaled to variance 1 / W.

    So a whitened text has length 1 on average.

    Args:
        mean_F: of the features.
        matrix_FW: eigenvectors, scaled.
    """

    def __init__(self, mean_F: Tensor, matrix_FW: Tensor) -> None:
        super().__init__()
        self.mean_F: Tensor
        self.matrix_FW: Tensor
        self.register_buffer("mean_F", mean_F)
        self.register_buffer("matrix_FW", matrix_FW)

    @classmethod
    def fit(cls, features_NF: Tensor, width: int) -> Whitening:
        """Whiten some texts, down to the ``width`` directions in which they differ most, or as many as there are."""
        wide_NF = features_NF.double()
        mean_F = wide_NF.mean(dim=0)
        centred_NF = wide_NF - mean_F
        variance_F, vectors_FF = torch.linalg.eigh(centred_NF.T @ centred_NF / len(wide_NF))
        real_F = variance_F > VARIANCE_FLOOR * variance_F.mean()
        kept = max(1, min(width, int(real_F.sum())))
        scale_W = 1.0 / torch.sqrt(kept * variance_F[-kept:].clamp_min(torch.finfo(torch.float32).tiny))
        matrix_FW = (vectors_FF[:, -kept:] * scale_W).flip(1)
        return cls(mean_F.float(), matrix_FW.float().contiguous())

    @classmethod
    def unfitted(cls, feature_count: int, width: int) -> Whitening:
        """One to load a state into."""
        return cls(torch.zeros(feature_count), torch.zeros(feature_count, width))

    @property
    def width(self) -> int:
        """W."""
        return self.matrix_FW.shape[1]

    def forward(self, features_BF: Tensor) -> Tensor:
        """Whitened features [B, W]."""
        return (features_BF - self.mean_F) @ self.matrix_FW
