"""Distance correlation (Székely, Rizzo and Bakirov 2007): how much two vectors depend on each other, in any form.

With a_ij the Euclidean distances within one sample and A_ij = a_ij - row mean - column mean + grand mean, likewise B:

    dCor^2 = sum A_ij B_ij / sqrt(sum A_ij^2 * sum B_ij^2)

It is 0 only for independent and 1 for linearly equal vectors. A sample of N vectors in many dimensions gives more than
0 even for independent ones; the bias-corrected form (Székely and Rizzo 2013), with sums over i != j and

    A_ij = a_ij - row sum / (N - 2) - column sum / (N - 2) + grand sum / ((N - 1)(N - 2)),

has expectation 0 there.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from unbraid_core.types import DoubleArray

__all__ = ["MIN_SAMPLE", "corrected_distance_correlation", "distance_correlation"]

MIN_SAMPLE = 4


def distance_correlation(first_ND: DoubleArray, second_ND: DoubleArray) -> float:
    """Between 0 and 1; 0 where one of the samples is constant."""
    return _root_of_correlation(_centred(first_ND), _centred(second_ND))


def corrected_distance_correlation(first_ND: DoubleArray, second_ND: DoubleArray) -> float:
    """Without the bias of high dimensions, from at least MIN_SAMPLE pairs; 0 where the estimate is negative."""
    return _root_of_correlation(_unbiased_centred(first_ND), _unbiased_centred(second_ND))


def _root_of_correlation(first_NN: DoubleArray, second_NN: DoubleArray) -> float:
    scale = float(np.sqrt((first_NN**2).sum() * (second_NN**2).sum()))
    if scale == 0.0:
        return 0.0
    return float(np.sqrt(max(0.0, float((first_NN * second_NN).sum()) / scale)))


def _centred(vectors_ND: DoubleArray) -> DoubleArray:
    distance_NN = cdist(vectors_ND, vectors_ND)
    mean_N = distance_NN.mean(axis=0)
    centred_NN: DoubleArray = distance_NN - mean_N[:, None] - mean_N[None, :] + mean_N.mean()
    return centred_NN


def _unbiased_centred(vectors_ND: DoubleArray) -> DoubleArray:
    distance_NN = cdist(vectors_ND, vectors_ND)
    count = len(distance_NN)
    sum_N = distance_NN.sum(axis=0)
    grand = sum_N.sum() / ((count - 1) * (count - 2))
    centred_NN: DoubleArray = distance_NN - (sum_N[:, None] + sum_N[None, :]) / (count - 2) + grand
    np.fill_diagonal(centred_NN, 0.0)
    return centred_NN
