"""Where training starts: item vectors from iALS, interest directions from their clusters.

Started at random, interests collapse into one before item vectors mean anything; started here, the first assignment
already follows the structure of the data.
"""

from __future__ import annotations

import faiss
import numpy as np
import torch

from unbraid_core.types import FloatArray
from unbraid_training.als import fit_als
from unbraid_training.data.dataset import Dataset
from unbraid_training.model import Model

__all__ = ["cluster_directions", "factorise", "warm_start"]

ITERATIONS = 10
REGULARISATION = 10.0
CONFIDENCE = 10.0


def warm_start(model: Model, dataset: Dataset, seed: int) -> None:
    """Give a new model item vectors and interest directions out of the training events."""
    item_vectors_ID = factorise(dataset, model.encoder.direction_KD.shape[1], seed)
    interest_count = len(model.encoder.direction_KD)
    seen_I = np.bincount(dataset.row_E, minlength=len(item_vectors_ID)) > 0
    directions_KD = cluster_directions(item_vectors_ID[seen_I], interest_count, seed)
    model.items.start(item_vectors_ID)
    with torch.no_grad():
        model.encoder.direction_KD.copy_(torch.from_numpy(directions_KD))


def factorise(dataset: Dataset, dimension: int, seed: int) -> FloatArray:
    """Unit item vectors by implicit-feedback ALS (Hu, Koren, Volinsky 2008): float32 [I, D]."""
    als = fit_als(
        dataset,
        factor_count=dimension,
        regularisation=REGULARISATION,
        confidence=CONFIDENCE,
        iterations=ITERATIONS,
        seed=seed,
    )
    # An item without any event gets a zero vector; a small random one keeps it off every direction equally.
    noise_ID = np.random.default_rng(seed).normal(scale=1e-6, size=als.item_factors.shape)
    vectors_ID = (als.item_factors + noise_ID).astype(np.float32)
    unit_ID: FloatArray = vectors_ID / np.linalg.norm(vectors_ID, axis=1, keepdims=True)
    return unit_ID


def cluster_directions(item_vectors_ID: FloatArray, interest_count: int, seed: int) -> FloatArray:
    """Centroids of a spherical k-means: float32 [K, D]."""
    kmeans = faiss.Kmeans(
        item_vectors_ID.shape[1],
        interest_count,
        spherical=True,
        niter=30,
        nredo=5,
        seed=seed,
        min_points_per_centroid=1,
    )
    kmeans.train(np.ascontiguousarray(item_vectors_ID))
    return np.asarray(kmeans.centroids, np.float32)
