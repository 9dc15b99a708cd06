"""Networks that read a history as one sequence and answer with one vector: after SASRec and GRU4Rec.

They are trained as unbraid's encoder is, by the softmax over all items of cosine / temperature (loss.py with a single
interest), so that a comparison tells what the interests do and not what another loss would.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor, nn

from unbraid_core.types import DoubleArray, IntArray
from unbraid_training.baselines.sequences import SequenceExamples, Target
from unbraid_training.data.dataset import Dataset

__all__ = ["MAX_HISTORY", "SequenceNetwork", "Trunk"]

MAX_HISTORY = 50
DIMENSION = 64
TEMPERATURE = 0.1
LEARNING_RATE = 3e-3
BATCH_SIZE = 64
MAX_EPOCHS = 20
LAYER_COUNT, HEAD_COUNT = 2, 2
# Lifts unit vectors to the size that the layers expect.
INPUT_SCALE = DIMENSION**0.5 / 2


class Trunk(StrEnum):
    """What reads the sequence: causal self-attention (Kang and McAuley 2018) or a GRU (Hidasi et al. 2016)."""

    SASREC = "sasrec"
    GRU = "gru"


@dataclass(frozen=True, slots=True)
class SequenceNetwork:
    """A network that scores items by the cosine of their vectors with that of the newest items, over the temperature.

    Every event of every sequence is an example. Fitting takes O(events * items) an epoch, in one thread.

    Attributes:
        trunk: what reads the sequence.
        target: what is predicted after an event.
        dropout: share of the features that is dropped in training.
        seed: of the first weights, the order of the examples and dropout.
        epochs: to train; ``stages`` tells how it goes after each.
    """

    trunk: Trunk
    target: Target
    dropout: float
    seed: int
    epochs: int = MAX_EPOCHS

    def __str__(self) -> str:
        """A few words for a table."""
        return f"{self.trunk}, {self.target}, dropout {self.dropout:g}, {self.epochs} epochs"

    @property
    def stage_count(self) -> int:
        """One stage an epoch."""
        return self.epochs

    def fit(self, train: Dataset, /) -> _FittedNetwork:
        """Train for all epochs."""
        *_, (_, fitted) = self.stages(train)
        return fitted

    def stages(self, train: Dataset, /) -> Iterator[tuple[SequenceNetwork, _FittedNetwork]]:
        """Train epoch by epoch."""
        torch.manual_seed(self.seed)
        network = _Network(self.trunk, len(train.catalogue), self.dropout)
        optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
        examples = SequenceExamples(train, MAX_HISTORY, self.target)
        for epochs in range(1, self.epochs + 1):
            # An epoch is a function of (seed, epoch), whatever else is trained between two of them.
            torch.manual_seed(self.seed * 100_003 + epochs)
            network.train()
            rng = np.random.default_rng([self.seed, epochs])
            for row_BL, target_BLT in examples.epoch(rng, BATCH_SIZE):
                optimizer.zero_grad(set_to_none=True)
                network.loss(torch.from_numpy(row_BL), torch.from_numpy(target_BLT)).backward()
                optimizer.step()
            yield replace(self, epochs=epochs), _FittedNetwork(network)


@dataclass(frozen=True, slots=True, eq=False)
class _FittedNetwork:
    network: _Network

    def score(self, row_BL: IntArray, /) -> DoubleArray:
        self.network.eval()
        with torch.inference_mode():
            score_BI: DoubleArray = self.network(torch.from_numpy(row_BL)).double().numpy()
        return score_BI


class _Network(nn.Module):
    """Item vectors, tied on both sides, and a trunk that turns the vectors of a sequence into those of its user."""

    def __init__(self, trunk: Trunk, item_count: int, dropout: float) -> None:
        super().__init__()
        self.items = nn.Embedding(item_count, DIMENSION)
        nn.init.normal_(self.items.weight, std=DIMENSION**-0.5)
        self.trunk = _Attention(dropout) if trunk is Trunk.SASREC else _Gru(dropout)

    def forward(self, row_BL: Tensor) -> Tensor:
        """Logits of all items after the last event of each sequence: [B, I]."""
        last_B = (row_BL >= 0).sum(dim=1).clamp_min(1) - 1
        return self._logits(self._users(row_BL)[torch.arange(len(row_BL)), last_B])

    def loss(self, row_BL: Tensor, target_BLT: Tensor) -> Tensor:
        """Mean of -log p(target) over all targets, in nats."""
        aimed_BL = target_BLT[:, :, 0] >= 0
        log_p_NI = torch.log_softmax(self._logits(self._users(row_BL)[aimed_BL]), dim=-1)
        return -log_p_NI.gather(1, target_BLT[aimed_BL]).mean()

    def _users(self, row_BL: Tensor) -> Tensor:
        """The user after each event: [B, L, D]. What is padding comes last, where it changes nothing before it."""
        users_BLD: Tensor = self.trunk(self.items(row_BL.clamp_min(0)))
        return users_BLD

    def _logits(self, user_ND: Tensor) -> Tensor:
        scaled_ND = nn.functional.normalize(user_ND, dim=-1) / TEMPERATURE
        return scaled_ND @ nn.functional.normalize(self.items.weight, dim=-1).T


class _Attention(nn.Module):
    """Causal self-attention over items and learned positions; layers of pre-norm form, as in SASRec."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.position_LD = nn.Parameter(0.02 * torch.randn(MAX_HISTORY, DIMENSION))
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            DIMENSION, HEAD_COUNT, dim_feedforward=DIMENSION, dropout=dropout, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(
            layer, LAYER_COUNT, norm=nn.LayerNorm(DIMENSION), enable_nested_tensor=False
        )

    def forward(self, item_BLD: Tensor) -> Tensor:
        length = item_BLD.shape[1]
        later_LL = torch.ones(length, length, dtype=torch.bool).triu(1)
        event_BLD = self.dropout(INPUT_SCALE * item_BLD + self.position_LD[:length])
        users_BLD: Tensor = self.layers(event_BLD, mask=later_LL, is_causal=True)
        return users_BLD


class _Gru(nn.Module):
    """A GRU over items, and a linear layer that turns its state into the space of the items."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(DIMENSION, DIMENSION, batch_first=True)
        self.out = nn.Linear(DIMENSION, DIMENSION)

    def forward(self, item_BLD: Tensor) -> Tensor:
        state_BLD, _ = self.gru(self.dropout(item_BLD))
        users_BLD: Tensor = self.out(self.dropout(state_BLD))
        return users_BLD
