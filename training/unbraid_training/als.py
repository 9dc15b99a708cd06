"""Matrix factorisation of implicit feedback, by the library ``implicit``."""

from __future__ import annotations

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from unbraid_training.baselines.profile import user_items
from unbraid_training.data.dataset import Dataset

__all__ = ["fit_als"]


def fit_als(
    train: Dataset, *, factor_count: int, regularisation: float, confidence: float, iterations: int, seed: int
) -> AlternatingLeastSquares:
    """Alternating least squares on how often users had items (Hu, Koren and Volinsky 2008), on one thread."""
    # Its own threads and those of OpenBLAS would hinder each other; it checks, and warns, when it is made.
    with threadpool_limits(1):
        als = AlternatingLeastSquares(
            factors=factor_count,
            regularization=regularisation,
            alpha=confidence,
            iterations=iterations,
            num_threads=1,
            random_state=seed,
        )
        als.fit(csr_matrix(user_items(train, counted=True).astype(np.float32)), show_progress=False)
    return als
