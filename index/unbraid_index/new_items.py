"""Items that training never saw, added to what it left behind: their vectors come from their text alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unbraid_core.catalogue import Catalogue
from unbraid_core.release import Export, Release
from unbraid_core.release.layout import CATALOGUE, ITEM_FEATURES, ITEM_VECTORS
from unbraid_core.types import FloatArray
from unbraid_index.content.item_encoder import open_item_encoder
from unbraid_index.exact import ExactSearcher

__all__ = ["Addition", "add_items"]

NEIGHBOUR_COUNT = 10


@dataclass(frozen=True, slots=True)
class Addition:
    """How many items were added, how many were there before, and how many of the added ones say nothing.

    An item says nothing if no word of it is known; all such items share one vector.
    """

    added_count: int
    known_count: int
    wordless_count: int


def add_items(source: Export | Release, items: Catalogue, folder: Path) -> tuple[FloatArray, Addition]:
    """Write the vectors, features and catalogue of a source with further items behind its own.

    Items that the source has already are left as they are there. Nobody has touched the others yet; they are expected
    to become as popular as the NEIGHBOUR_COUNT items nearest to them, by the mean of the log popularities. At the floor
    of the popularity instead, nobody would ever be shown one of them: docs/items.md has the figures.

    Args:
        source: with an item encoder.
        items: perhaps new ones.
        folder: the three files are written there.

    Returns:
        The vectors of all items.

    Raises:
        IncompatibleError: the source has no item encoder, or one that cannot be used.
        IntegrityError: its tokeniser cannot be read.
        InvalidInput: a column of the items has another type than in the catalogue.
    """
    unknown_N = source.catalogue.rows(items.item_ids) < 0
    fresh = items.take(np.flatnonzero(unknown_N))
    encoded = open_item_encoder(source).encode(fresh)
    item_vectors_ID = np.concatenate([source.item_vectors_ID, encoded.vectors_ND])
    log_popularity_I = np.concatenate([source.log_popularity_I, _expected_popularity(source, encoded.vectors_ND)])
    np.save(folder / ITEM_VECTORS, item_vectors_ID)
    np.save(folder / ITEM_FEATURES, log_popularity_I[:, None])
    source.catalogue.followed_by(fresh).write(folder / CATALOGUE)
    known_count = len(items) - len(fresh)
    return item_vectors_ID, Addition(len(fresh), known_count, int(encoded.wordless_N.sum()))


def _expected_popularity(source: Export | Release, vectors_ND: FloatArray) -> FloatArray:
    if len(vectors_ND) == 0:
        return np.empty(0, np.float32)
    count = min(NEIGHBOUR_COUNT, len(source.catalogue))
    nearest = ExactSearcher(source.item_vectors_ID).search(vectors_ND, count)
    expected_N: FloatArray = source.log_popularity_I[nearest.row_QC].mean(axis=1)
    return expected_N
