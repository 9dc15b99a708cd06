"""The trunk: moves every event by what stands around it, before interests are taken out of the history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from unbraid_training.config import EncoderConfig, TrunkName
from unbraid_training.encoder.decays import AGE_SCALE_S, Decays, gap_s
from unbraid_training.encoder.sequence import CausalConvolution, Recurrence, Transformer

__all__ = ["SequenceModel", "Trunk", "make_trunk"]

# Event features are unit vectors, which leaves each of many dimensions little: time must not drown them at the start.
TIME_STD = 0.02


class SequenceModel(Protocol):
    """Reads a right-padded sequence.

    Nothing that stands in the padding, and no amount of it, changes what comes out where there are events.
    """

    def __call__(self, event_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        """What is known of each event within its sequence [B, L, D]."""
        ...


SEQUENCE_MODELS: dict[TrunkName, Callable[[int, float], nn.Module]] = {
    "transformer": Transformer,
    "lstm": lambda dimension, _: Recurrence(nn.LSTM(dimension, dimension, batch_first=True)),
    "gru": lambda dimension, _: Recurrence(nn.GRU(dimension, dimension, batch_first=True)),
    "conv": CausalConvolution,
}


class Trunk(nn.Module):
    """A sequence model around the events, whose last layer starts at zero.

    So an untrained trunk moves nothing, and training starts from the item vectors and interest directions of the warm
    start whatever the trunk is.

    Args:
        sequence: a SequenceModel for ``dimension``.
        dimension: D.
        dropout: share of features dropped in training.
        time: whether it reads the age of each event and the gap to the one before, or their order alone.
    """

    def __init__(self, sequence: nn.Module, dimension: int, dropout: float, time: bool) -> None:
        super().__init__()
        self.sequence: SequenceModel = sequence
        self.decays = Decays(AGE_SCALE_S)
        self.time = nn.Linear(2 * len(AGE_SCALE_S), dimension, bias=False) if time else None
        self.scale = nn.LayerNorm(dimension)
        self.dropout = nn.Dropout(dropout)
        self.shift = nn.Linear(dimension, dimension, bias=False)
        if self.time is not None:
            nn.init.normal_(self.time.weight, std=TIME_STD)
        nn.init.zeros_(self.shift.weight)

    def forward(self, event_BLD: Tensor, age_s_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """What to add to each event [B, L, D]; anything where padded."""
        if self.time is not None:
            time_BLF = torch.cat([self.decays(age_s_BL), self.decays(gap_s(age_s_BL))], dim=-1)
            event_BLD = event_BLD + self.time(time_BLF)
        read_BLD = self.sequence(self.dropout(self.scale(event_BLD)), mask_BL)
        shift_BLD: Tensor = self.shift(self.dropout(read_BLD))
        return shift_BLD


def make_trunk(config: EncoderConfig, dimension: int, dropout: float) -> Trunk | None:
    """The trunk that a configuration names; None for an encoder that reads every event by itself."""
    if config.trunk == "none":
        return None
    return Trunk(SEQUENCE_MODELS[config.trunk](dimension, dropout), dimension, dropout, config.time)
