"""Whether the interests of a user depend on each other."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["distance_correlation"]

# Keeps the gradient of a root finite.
SMALLEST = 1e-9


def distance_correlation(interests_BKD: Tensor) -> Tensor:
    """Mean over all pairs of interests of their distance correlation in a batch of users, from 0 to 1.

    dCor(X, Y) = dCov(X, Y) / sqrt(dCov(X, X) * dCov(Y, Y)), with dCov^2 the mean product of the doubly centred distance
    matrices (Szekely, Rizzo, Bakirov 2007). 0 means independent, for any kind of dependence, when B grows.
    """
    interests_KBD = interests_BKD.transpose(0, 1)
    distance_KBB = torch.cdist(interests_KBD, interests_KBD)
    centred_KBB = (
        distance_KBB
        - distance_KBB.mean(dim=1, keepdim=True)
        - distance_KBB.mean(dim=2, keepdim=True)
        + distance_KBB.mean(dim=(1, 2), keepdim=True)
    )
    covariance_KK = torch.einsum("kbc,jbc->kj", centred_KBB, centred_KBB) / len(interests_BKD) ** 2
    deviation_KK = torch.sqrt(covariance_KK.clamp_min(SMALLEST))
    own_K = deviation_KK.diagonal()
    first, second = torch.triu_indices(len(own_K), len(own_K), offset=1)
    correlation_P = deviation_KK[first, second] / torch.sqrt(own_K[first] * own_K[second])
    return correlation_P.mean() if len(correlation_P) else interests_BKD.new_zeros(())
