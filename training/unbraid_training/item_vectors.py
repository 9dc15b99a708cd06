"""The item side of the model: free vectors, or vectors of the items' text with a bounded correction for each item.

    vector_i = normalise(content_i + delta_i)      content_i = normalise(whiten(features_i) W)      |delta_i| <= bound

An item that training never saw has no delta: its vector is its content. The correction is left out now and then while
training, so that the encoder meets items as they are before anybody has touched them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from unbraid_core.types import FloatArray
from unbraid_training.content.config import ContentConfig
from unbraid_training.content.whitening import Whitening
from unbraid_training.ranks import same

__all__ = ["ContentVectors", "FreeVectors", "ItemVectors", "Projection"]

# The shorter the sum of content and correction, the further a step of a given size turns it.
SHORTEST_SUM = 0.5


class FreeVectors(nn.Module):
    """One free vector for each item.

    Args:
        item_count: I.
        dimension: D.
    """

    def __init__(self, item_count: int, dimension: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(item_count, dimension))

    def forward(self) -> Tensor:
        """The unit vectors of all items [I, D], as they are served."""
        return nn.functional.normalize(self.weight, dim=-1)

    def sample(self) -> Tensor:
        """The unit vectors of all items as the next training step has to see them: as they are."""
        return self.forward()

    def start(self, vectors_ID: FloatArray) -> None:
        """Begin at the given unit vectors."""
        with torch.no_grad():
            self.weight.copy_(torch.from_numpy(vectors_ID))

    def keep_bounds(self) -> None:
        """Bring what a step carried over its bound back to it; nothing is bounded here."""


class Projection(nn.Module):
    """Features of a text to a unit vector: whitening, which stays as it was fitted, and a trained linear map.

    Args:
        whitening: of F features to W.
        dimension: D.
    """

    def __init__(self, whitening: Whitening, dimension: int) -> None:
        super().__init__()
        self.whitening = whitening
        self.map_WD = nn.Parameter(torch.zeros(whitening.width, dimension))

    def forward(self, features_BF: Tensor) -> Tensor:
        """Unit vectors [B, D]."""
        return self.map(self.whitening(features_BF))

    def map(self, whitened_BW: Tensor) -> Tensor:
        """Unit vectors of features that are white already."""
        unit_BD: Tensor = nn.functional.normalize(whitened_BW @ self.map_WD, dim=-1)
        return unit_BD


class ContentVectors(nn.Module):
    """Content and correction.

    Args:
        whitening: of the features of texts.
        whitened_IW: features of the items' texts.
        dimension: D.
        config: how long corrections may get, and how often they are left out.
    """

    def __init__(self, whitening: Whitening, whitened_IW: Tensor, dimension: int, config: ContentConfig) -> None:
        super().__init__()
        self.projection = Projection(whitening, dimension)
        self.whitened_IW: Tensor
        self.register_buffer("whitened_IW", whitened_IW)
        self.delta_ID = nn.Parameter(torch.zeros(len(whitened_IW), dimension))
        self._delta_bound = config.delta_bound
        self._delta_dropout = config.delta_dropout

    @classmethod
    def shaped_as(cls, state: Mapping[str, Tensor], prefix: str, config: ContentConfig) -> ContentVectors:
        """Item vectors that a state can be loaded into, whose names begin with a prefix there.

        Raises:
            KeyError: the state holds other item vectors.
        """
        whitened_IW = torch.zeros_like(state[f"{prefix}whitened_IW"])
        feature_count, width = state[f"{prefix}projection.whitening.matrix_FW"].shape
        dimension = state[f"{prefix}delta_ID"].shape[1]
        return cls(Whitening.unfitted(feature_count, width), whitened_IW, dimension, config)

    def forward(self) -> Tensor:
        """As for FreeVectors."""
        return nn.functional.normalize(self.projection.map(self.whitened_IW) + self.delta_ID, dim=-1)

    def sample(self) -> Tensor:
        """As for FreeVectors, but now and then what new items would have, content alone."""
        if same(torch.rand((), device=self.delta_ID.device)) < self._delta_dropout:
            return self.projection.map(self.whitened_IW)
        return self.forward()

    def start(self, vectors_ID: FloatArray) -> None:
        """Begin near the given unit vectors: the map by regression, and what it leaves as correction.

        The features are white, so least squares need no inverse, and the penalty of a ridge regression would change
        the lengths of the contents only. Left at the length of the sum over the items, the map is turned slowly by
        training, however many items it has to hold for. The correction is the shortest that leads into the wanted
        direction, but none that leaves a sum shorter than SHORTEST_SUM.
        """
        wanted_ID = torch.from_numpy(vectors_ID)
        with torch.no_grad():
            self.projection.map_WD.copy_(self.whitened_IW.T @ wanted_ID)
            content_ID = self.projection.map(self.whitened_IW)
            length_I1 = (content_ID * wanted_ID).sum(dim=1, keepdim=True).clamp_min(SHORTEST_SUM)
            self.delta_ID.copy_(length_I1 * wanted_ID - content_ID)
            self.keep_bounds()

    def keep_bounds(self) -> None:
        """As for FreeVectors: cuts the corrections to their bound."""
        with torch.no_grad():
            length_I1 = self.delta_ID.norm(dim=1, keepdim=True)
            self.delta_ID.mul_(self._delta_bound / length_I1.clamp_min(self._delta_bound))


ItemVectors = FreeVectors | ContentVectors
