"""The sequence models that a trunk can be built on; their contract is SequenceModel in trunk.py.

Transformer         SASRec (Kang and McAuley 2018, arXiv:1808.09781), not causal: every event sees all others
Recurrence          GRU4Rec (Hidasi et al. 2016, arXiv:1511.06939), one layer of LSTM or GRU
CausalConvolution   NextItNet (Yuan et al. 2019, arXiv:1808.05163), dilated convolutions
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unbraid_training.encoder.decays import RANK_SCALE, Decays, rank

__all__ = ["MASKED", "CausalConvolution", "Recurrence", "Transformer"]

# What is padded gets this logit: -inf would turn an all-padded row into NaN.
MASKED = -1e9

POSITION_STD = 0.02
BLOCK_COUNT = 2
KERNEL = 3
DILATIONS = (1, 2, 4)


class Transformer(nn.Module):
    """Two blocks of attention over all events. Order enters by how many events are newer.

    Args:
        dimension: D.
        dropout: share of features dropped in training.
    """

    def __init__(self, dimension: int, dropout: float) -> None:
        super().__init__()
        self.decays = Decays(RANK_SCALE)
        self.position = nn.Linear(len(RANK_SCALE), dimension, bias=False)
        self.blocks = nn.ModuleList(TransformerBlock(dimension, dropout) for _ in range(BLOCK_COUNT))
        self.scale = nn.LayerNorm(dimension)
        nn.init.normal_(self.position.weight, std=POSITION_STD)

    def forward(self, event_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        """See SequenceModel."""
        event_BLD = event_BLD + self.position(self.decays(rank(mask_BL)))
        for block in self.blocks:
            event_BLD = block(event_BLD, mask_BL)
        scaled_BLD: Tensor = self.scale(event_BLD)
        return scaled_BLD


class TransformerBlock(nn.Module):
    """Attention with one head, as any dimension allows, then a layer for each event; both read scaled features."""

    def __init__(self, dimension: int, dropout: float) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(dimension)
        # No bias: that of the keys would lift all logits of a row alike, which a softmax ignores.
        self.query_key_value = nn.Linear(dimension, 3 * dimension, bias=False)
        self.attended = nn.Linear(dimension, dimension)
        self.before_feed = nn.LayerNorm(dimension)
        self.feed = nn.Sequential(nn.Linear(dimension, dimension), nn.ReLU(), nn.Linear(dimension, dimension))
        self.dropout = nn.Dropout(dropout)

    def forward(self, event_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        """See SequenceModel."""
        query_BLD, key_BLD, value_BLD = self.query_key_value(self.before_attention(event_BLD)).chunk(3, dim=-1)
        logit_BLL = query_BLD @ key_BLD.transpose(1, 2) * key_BLD.shape[-1] ** -0.5
        weight_BLL = torch.softmax(logit_BLL.masked_fill(~mask_BL.unsqueeze(1), MASKED), dim=-1)
        event_BLD = event_BLD + self.dropout(self.attended(weight_BLL @ value_BLD))
        fed_BLD: Tensor = event_BLD + self.dropout(self.feed(self.before_feed(event_BLD)))
        return fed_BLD


class Recurrence(nn.Module):
    """One layer of LSTM or GRU from the oldest event to the newest, so padding comes after all that counts.

    Args:
        cell: with the batch first.
    """

    def __init__(self, cell: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, event_BLD: Tensor, _: Tensor) -> Tensor:
        """See SequenceModel."""
        state_BLD: Tensor = self.cell(event_BLD)[0]
        return state_BLD


class CausalConvolution(nn.Module):
    """Dilated convolutions over each event and the 14 before it, so padding comes after all that counts.

    Args:
        dimension: D.
        dropout: share of features dropped in training.
    """

    def __init__(self, dimension: int, dropout: float) -> None:
        super().__init__()
        self.scales = nn.ModuleList(nn.LayerNorm(dimension) for _ in DILATIONS)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(dimension, dimension, KERNEL, dilation=dilation) for dilation in DILATIONS
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, event_BLD: Tensor, _: Tensor) -> Tensor:
        """See SequenceModel."""
        for scale, convolution, dilation in zip(self.scales, self.convolutions, DILATIONS, strict=True):
            before_BDL = nn.functional.pad(scale(event_BLD).transpose(1, 2), ((KERNEL - 1) * dilation, 0))
            event_BLD = event_BLD + self.dropout(torch.relu(convolution(before_BDL)).transpose(1, 2))
        return event_BLD
