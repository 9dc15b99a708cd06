"""Ages and ranks as features that a network can read: how much is left of them on several scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["AGE_SCALE_S", "RANK_SCALE", "Decays", "gap_s", "rank"]

# A minute to two years, each four times the last.
AGE_SCALE_S = tuple(60.0 * 4.0**step for step in range(11))

# In events: the very last ones are told apart, far ones blur.
RANK_SCALE = tuple(4.0**step for step in range(6))


class Decays(nn.Module):
    """2^(-x / scale) for every scale: from 1 at x = 0 down to 0, however large x may be.

    Args:
        scales: F of them, in the unit of x.
    """

    def __init__(self, scales: Sequence[float]) -> None:
        super().__init__()
        self.scale_F: Tensor
        # Part of the architecture, not of what is learned.
        self.register_buffer("scale_F", torch.tensor(scales), persistent=False)

    def forward(self, x_BL: Tensor) -> Tensor:
        """Features [B, L, F] of values that are 0 or more."""
        return torch.exp2(-x_BL.unsqueeze(-1) / self.scale_F)


def gap_s(age_s_BL: Tensor) -> Tensor:
    """Seconds from the event before to each event [B, L]; 0 for the first.

    Padding may hold anything; its gaps are kept at 0 or more, so that their decays stay finite.
    """
    before_BL = torch.cat([age_s_BL[:, :1], age_s_BL[:, :-1]], dim=1)
    return (before_BL - age_s_BL).clamp_min(0.0)


def rank(mask_BL: Tensor) -> Tensor:
    """How many events of the history are newer than each [B, L], as float; 0 where padded."""
    count_BL = mask_BL.to(torch.float32)
    return count_BL.sum(dim=1, keepdim=True) - count_BL.cumsum(dim=1)
