"""The index families: which one a catalogue gets, and how its FAISS index is made.

Up to 50,000 items every query is compared with every item (Flat). Above, the items are sorted into lists around
centroids and only the lists nearest to a query are scanned (IVF). Both keep the vectors as they are, so a score is
the exact inner product. A row of the catalogue is its position in the index.
"""

from __future__ import annotations

import math
from typing import Literal

import faiss
import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_index.progress import OnProgress

__all__ = ["FLAT_LIMIT", "Family", "flat_index", "ivf_index", "list_count"]

Family = Literal["flat", "ivf_flat"]

FLAT_LIMIT = 50_000
SAMPLES_PER_LIST = 64
ADDED_AT_ONCE = 65_536


def list_count(item_count: int) -> int:
    """Number of IVF lists: the power of two nearest to 4 sqrt(items), on a log scale."""
    return int(2 ** round(math.log2(4 * math.sqrt(item_count))))


def flat_index(item_vectors_ID: ItemVectors, on_progress: OnProgress) -> faiss.IndexFlatIP:
    """An exhaustive index over the vectors."""
    index = faiss.IndexFlatIP(item_vectors_ID.shape[1])
    _add(index, item_vectors_ID, on_progress)
    return index


def ivf_index(item_vectors_ID: ItemVectors, seed: int, on_progress: OnProgress) -> faiss.IndexIVFFlat:
    """An inverted-file index over the vectors, its centroids trained on a seeded sample."""
    item_count, dimension = item_vectors_ID.shape
    lists = list_count(item_count)
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dimension), dimension, lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed = seed
    sample_size = min(item_count, SAMPLES_PER_LIST * lists)
    sample_S = np.random.default_rng(seed).choice(item_count, sample_size, replace=False)
    on_progress("training centroids", 0, 1)
    index.train(np.ascontiguousarray(item_vectors_ID[np.sort(sample_S)]))
    on_progress("training centroids", 1, 1)
    _add(index, item_vectors_ID, on_progress)
    return index


def _add(index: faiss.Index, item_vectors_ID: ItemVectors, on_progress: OnProgress) -> None:
    """Add in bounded pieces, so that memory-mapped vectors are never copied as a whole."""
    for start in range(0, len(item_vectors_ID), ADDED_AT_ONCE):
        index.add(np.ascontiguousarray(item_vectors_ID[start : start + ADDED_AT_ONCE]))
        on_progress("adding vectors", index.ntotal, len(item_vectors_ID))
