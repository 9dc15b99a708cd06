"""The queries that recall is measured with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from unbraid_core.errors import InvalidInput
from unbraid_core.item_vectors import ItemVectors
from unbraid_core.types import FloatArray

__all__ = ["MIN_QUERIES", "RecallQueries"]

MIN_QUERIES = 100
MAX_QUERIES = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class RecallQueries:
    """Query vectors in random order, and where they come from."""

    vectors_QD: FloatArray
    source: Literal["held-out interests", "item vectors"]

    @classmethod
    def of_interests(cls, interests_QD: FloatArray, seed: int) -> RecallQueries:
        """A seeded sample of at most 2000 interests of users that the encoder was not trained on."""
        return cls(_sample(interests_QD, seed), "held-out interests")

    @classmethod
    def of_items(cls, item_vectors_ID: ItemVectors, seed: int) -> RecallQueries:
        """A seeded sample of at most 2000 item vectors, for want of interests."""
        return cls(_sample(item_vectors_ID, seed), "item vectors")

    @classmethod
    def read(cls, path: Path, dimension: int, seed: int) -> RecallQueries:
        """Read interests from a .npy file.

        Raises:
            InvalidInput: not an array of at least 100 finite float32 vectors of this dimension.
        """
        try:
            interests_QD = np.lib.format.open_memmap(path, mode="r")
        except (OSError, ValueError) as error:
            raise InvalidInput(str(path), f"cannot be read as a .npy array: {error}") from error
        if interests_QD.dtype != np.float32 or interests_QD.ndim != 2 or interests_QD.shape[1] != dimension:
            found = f"{interests_QD.dtype} {list(interests_QD.shape)}"
            raise InvalidInput(str(path), f"holds {found}; float32 [Q, {dimension}] is needed, the space of the items")
        if len(interests_QD) < MIN_QUERIES:
            raise InvalidInput(str(path), f"holds {len(interests_QD)} vectors; at least {MIN_QUERIES} are needed")
        queries = cls.of_interests(interests_QD, seed)
        if not np.isfinite(queries.vectors_QD).all():
            raise InvalidInput(str(path), "holds NaN or infinity; write the interests again")
        return queries


def _sample(vectors_ND: ItemVectors, seed: int) -> FloatArray:
    order_N = np.random.default_rng(seed).permutation(len(vectors_ND))
    return np.ascontiguousarray(vectors_ND[order_N[:MAX_QUERIES]])
