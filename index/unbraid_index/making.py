"""Making a FAISS index over item vectors: trained on a sample, filled in pieces of bounded size."""

from __future__ import annotations

from dataclasses import dataclass, field

import faiss
import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.types import FloatArray
from unbraid_index.family import Family
from unbraid_index.progress import OnProgress

__all__ = ["IndexMaker"]

SAMPLES_PER_LIST = 64
FEWEST_SAMPLES = 65_536
TRAINING_ROUNDS = 10
ADDED_AT_ONCE = 65_536


@dataclass(slots=True, eq=False)
class IndexMaker:
    """Makes indexes of several families over the same vectors; centroids are trained once for each number of lists.

    The same vectors and seed give the same index. Beside the index it holds a sample of at most 64 vectors for each
    list and 65,536 vectors at a time, so memory-mapped vectors are never copied as a whole.

    Args:
        item_vectors_ID: at least one.
        seed: of the sample and the centroids.
        on_progress: told about every step.
    """

    item_vectors_ID: ItemVectors
    seed: int
    on_progress: OnProgress
    _centroids: dict[int, FloatArray] = field(default_factory=dict)

    def make(self, family: Family) -> faiss.Index:
        """An inner-product index over all vectors."""
        item_count, dimension = self.item_vectors_ID.shape
        index = faiss.index_factory(dimension, family.factory_of(item_count, dimension), faiss.METRIC_INNER_PRODUCT)
        lists = 0
        if isinstance(index, faiss.IndexIVF):
            lists = index.nlist
            index.quantizer.add(self._trained_centroids(lists))
        if not index.is_trained:
            index.train(self._sample(lists))
        for start in range(0, item_count, ADDED_AT_ONCE):
            index.add(np.ascontiguousarray(self.item_vectors_ID[start : start + ADDED_AT_ONCE]))
            self.on_progress(f"{family.name}: adding vectors", index.ntotal, item_count)
        return index

    def _trained_centroids(self, lists: int) -> FloatArray:
        if lists not in self._centroids:
            self.on_progress(f"training {lists} centroids", 0, 1)
            trainer = faiss.Kmeans(
                self.item_vectors_ID.shape[1],
                lists,
                niter=TRAINING_ROUNDS,
                spherical=True,
                seed=self.seed,
                min_points_per_centroid=1,
            )
            trainer.train(self._sample(lists))
            assert trainer.centroids is not None
            self._centroids[lists] = trainer.centroids
            self.on_progress(f"training {lists} centroids", 1, 1)
        return self._centroids[lists]

    def _sample(self, lists: int) -> FloatArray:
        item_count = len(self.item_vectors_ID)
        size = min(item_count, max(FEWEST_SAMPLES, SAMPLES_PER_LIST * lists))
        row_S = np.random.default_rng(self.seed).choice(item_count, size, replace=False)
        return np.ascontiguousarray(self.item_vectors_ID[np.sort(row_S)])
