"""The other ranker: a network over the features and the element-wise product of interest and item.

    score_c = w3 . relu(W2 relu(W1 [standard(features_c), standard(v_k * e_c)]))

Neural collaborative filtering with the interest that speaks for the item as the user (He et al. 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn

from unbraid_core.features import FEATURE_NAMES
from unbraid_core.interactions import product_names
from unbraid_core.types import DoubleArray, FloatArray
from unbraid_training.ranker.config import NetworkConfig
from unbraid_training.ranker.examples import RankerExamples
from unbraid_training.tensor_files import save_tensors

__all__ = ["InteractionNetwork", "NetworkRanker", "fit_network"]

# A feature beyond so many standard deviations says no more than one there.
FARTHEST = 8.0
SMALLEST_SPREAD = 1e-6
FEATURES_KEY = "features"


class InteractionNetwork(nn.Module):
    """Columns [C, F] to log odds [C, 1].

    Args:
        column_count: F.
        hidden_count: units of each of the two hidden layers.
    """

    mean_F: Tensor
    spread_F: Tensor

    def __init__(self, column_count: int, hidden_count: int) -> None:
        super().__init__()
        self.register_buffer("mean_F", torch.zeros(column_count))
        self.register_buffer("spread_F", torch.ones(column_count))
        self.layers = nn.Sequential(
            nn.Linear(column_count, hidden_count),
            nn.ReLU(),
            nn.Linear(hidden_count, hidden_count),
            nn.ReLU(),
            nn.Linear(hidden_count, 1),
        )

    def standardise_by(self, column_CF: Tensor, product_start: int) -> None:
        """Take means and spreads from examples, column by column to save memory.

        The columns of the product, from ``product_start`` on, have one spread together, that of their sum: each by
        itself says little, and at unit spread they drown the features.
        """
        for position in range(column_CF.shape[1]):
            column_C = compress(column_CF[:, position])
            self.mean_F[position] = column_C.mean()
            self.spread_F[position] = column_C.std(correction=0).clamp(min=SMALLEST_SPREAD)
        if product_start < column_CF.shape[1]:
            affinity_C = column_CF[:, product_start:].sum(dim=1)
            self.spread_F[product_start:] = affinity_C.std(correction=0).clamp(min=SMALLEST_SPREAD)

    def forward(self, column_CF: Tensor) -> Tensor:
        """Log odds [C, 1]."""
        standard_CF = (compress(column_CF) - self.mean_F) / self.spread_F
        score_C1: Tensor = self.layers(standard_CF.clamp(-FARTHEST, FARTHEST))
        return score_C1


def compress(value: Tensor) -> Tensor:
    """sign(x) log(1 + |x|): counts and ages reach far."""
    return value.sign() * value.abs().log1p()


class NetworkRanker:
    """An interaction network behind the Ranker port.

    Args:
        network: in evaluation mode.
        features: names of its columns, in order.
    """

    file_name: ClassVar[str] = "ranker_network.safetensors"

    def __init__(self, network: InteractionNetwork, features: list[str]) -> None:
        self.network = network
        self.features = features

    @classmethod
    def read(cls, path: Path) -> NetworkRanker:
        """Read what ``write`` wrote."""
        with safe_open(path, framework="pt") as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a mapping)
            features = file.metadata()[FEATURES_KEY].split("\n")
        network = InteractionNetwork(len(features), len(state["layers.0.bias"]))
        network.load_state_dict(state)
        return cls(network.eval(), features)

    def write(self, path: Path) -> None:
        """Write weights and names."""
        save_tensors(self.network.state_dict(), path, {FEATURES_KEY: "\n".join(self.features)})

    def score(self, feature_CF: FloatArray) -> DoubleArray:
        """Log odds that each candidate is taken: float64 [C]."""
        with torch.inference_mode():
            score_C: FloatArray = self.network(torch.from_numpy(feature_CF))[:, 0].numpy()
        return score_C.astype(np.float64)


def fit_network(parts: Sequence[RankerExamples], config: NetworkConfig, seed: int) -> NetworkRanker:
    """Fit log odds by the binary log loss; the same examples and seed give the same network.

    The learning rate falls from its start to 0 in a straight line.
    """
    examples = RankerExamples.concatenated(parts)
    column_CF = torch.from_numpy(examples.feature_CF)
    taken_C = torch.from_numpy(examples.taken_C).float()
    dimension = column_CF.shape[1] - len(FEATURE_NAMES)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = InteractionNetwork(column_CF.shape[1], config.hidden_count)
    network.standardise_by(column_CF, len(FEATURE_NAMES))
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    batch_count = config.epochs * -(-len(taken_C) // config.batch_size)
    slower = torch.optim.lr_scheduler.LambdaLR(optimiser, _falling(batch_count))
    for _ in range(config.epochs):
        for chosen_B in torch.randperm(len(taken_C), generator=generator).split(config.batch_size):
            score_B = network(column_CF[chosen_B])[:, 0]
            loss = nn.functional.binary_cross_entropy_with_logits(score_B, taken_C[chosen_B])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            slower.step()
    return NetworkRanker(network.eval(), [*FEATURE_NAMES, *product_names(dimension)])


def _falling(step_count: int) -> Callable[[int], float]:
    return lambda step: 1.0 - step / step_count
