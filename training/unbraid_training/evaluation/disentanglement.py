"""How separate the interests of a model are: in its vectors, in the events behind them, and against categories.

An interest is *used* by a user if at least one event of the history belongs to it more than to any other. What is said
of a pair of interests is said over the users who use both: the vector of an interest without events stands for nothing.

Shapes: H users, K interests, L events of one user, N events of all of them, G categories.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from unbraid_core.categories import Categories
from unbraid_core.types import BoolArray, DoubleArray, IntArray, Interests
from unbraid_training.evaluation.bootstrap import Interval, bootstrap_means
from unbraid_training.evaluation.clustering import agreement
from unbraid_training.evaluation.distance_correlation import (
    MIN_SAMPLE,
    corrected_distance_correlation,
    distance_correlation,
)

__all__ = ["Disentanglement", "owner_of_events"]

# Distance correlations take memory with the square of the users.
SAMPLED_USER_COUNT = 500

Matrix = list[list[float | None]]
Pairwise = Callable[[DoubleArray, DoubleArray], float]


@dataclass(frozen=True, slots=True)
class Disentanglement:
    """The measures; matrices are [K, K], with None where fewer than MIN_SAMPLE users use both interests.

    Attributes:
        user_count: H.
        event_count: N.
        cosine: mean cosine of the two vectors of a user.
        distance_correlation: over users, between the vectors of the two interests.
        corrected_distance_correlation: the same without the bias of high dimensions.
        effective_interests: user mean of exp(entropy) of the events' shares: how many interests a history has.
        effective_alive: the same of the shares of the decayed mass: how many of them are alive at the moment asked for.
        sharpness: mean over events of the largest share.
        category_nmi: normalised mutual information of the interest that has the largest share of an event and the
            category of its item; an event with c categories counts 1/c in each, one without counts nowhere, and where
            no item has a category it is None.
    """

    user_count: int
    event_count: int
    cosine: Matrix
    distance_correlation: Matrix
    corrected_distance_correlation: Matrix
    effective_interests: Interval
    effective_alive: Interval
    sharpness: float
    category_nmi: float | None

    @classmethod
    def of(cls, interests: Sequence[Interests], categories: Categories | None, seed: int) -> Disentanglement:
        """Measure the interests of some users.

        Args:
            interests: of each user.
            categories: of the catalogue; None where no item has any.
            seed: of the sample of users for the distance correlations, and of the bootstrap.
        """
        vectors_HKD = np.stack([each.vectors_KD for each in interests]).astype(np.float64)
        used_HK = np.stack([_used(each) for each in interests])
        sample_S = np.random.default_rng(seed).permutation(len(interests))[:SAMPLED_USER_COUNT]
        counts = {
            "history": np.array([_effective_count(each.assignment_KL.mean(axis=1)) for each in interests]),
            "alive": np.array([_effective_count(np.exp(each.log_share_K)) for each in interests]),
        }
        effective = bootstrap_means(counts, seed)
        owner_N = np.concatenate([owner_of_events(each) for each in interests])
        row_N = np.concatenate([each.history.row_N for each in interests])
        return cls(
            user_count=len(interests),
            event_count=len(owner_N),
            cosine=_pairs(vectors_HKD, used_HK, _mean_cosine),
            distance_correlation=_pairs(vectors_HKD[sample_S], used_HK[sample_S], distance_correlation),
            corrected_distance_correlation=_pairs(
                vectors_HKD[sample_S], used_HK[sample_S], corrected_distance_correlation
            ),
            effective_interests=effective["history"],
            effective_alive=effective["alive"],
            sharpness=float(np.concatenate([each.assignment_KL.max(axis=0) for each in interests]).mean()),
            category_nmi=None if categories is None else _category_nmi(owner_N, row_N, categories),
        )

    def rows(self) -> list[list[str]]:
        """Cells of a table: a measure and its value, a line a measure; the first line is the head."""
        nmi = "no categories" if self.category_nmi is None else f"{self.category_nmi:.3f}"
        return [
            ["measure", "value"],
            ["cosine of a user's interests, mean over pairs", _mean_of_pairs(self.cosine)],
            ["distance correlation of interests, mean over pairs", _mean_of_pairs(self.distance_correlation)],
            ["  without the bias of high dimensions", _mean_of_pairs(self.corrected_distance_correlation)],
            ["effective interests in a history", self.effective_interests.text(2)],
            ["effective interests alive", self.effective_alive.text(2)],
            ["largest share of an event, mean", f"{self.sharpness:.3f}"],
            ["agreement of interest and category (NMI)", nmi],
        ]


def owner_of_events(interests: Interests) -> IntArray:
    """The interest that has the largest share of each event: int64 [L]."""
    owner_L: IntArray = interests.assignment_KL.argmax(axis=0)
    return owner_L


def _used(interests: Interests) -> BoolArray:
    return np.bincount(owner_of_events(interests), minlength=len(interests.vectors_KD)) > 0


def _effective_count(share_K: DoubleArray) -> float:
    """exp(entropy): K where the shares are equal, 1 where one has all (Hill 1973)."""
    positive_K = share_K[share_K > 0].astype(np.float64)
    return float(np.exp(-(positive_K * np.log(positive_K)).sum()))


def _mean_cosine(first_ND: DoubleArray, second_ND: DoubleArray) -> float:
    return float((first_ND * second_ND).sum(axis=1).mean())


def _pairs(vectors_HKD: DoubleArray, used_HK: BoolArray, measure: Pairwise) -> Matrix:
    """A symmetric measure of every pair of interests, over the users who use both."""
    interest_count = vectors_HKD.shape[1]
    matrix: Matrix = [[None] * interest_count for _ in range(interest_count)]
    for one in range(interest_count):
        for other in range(one + 1):
            both_H = used_HK[:, one] & used_HK[:, other]
            if both_H.sum() >= MIN_SAMPLE:
                value = measure(vectors_HKD[both_H, one], vectors_HKD[both_H, other])
                matrix[one][other] = matrix[other][one] = value
    return matrix


def _mean_of_pairs(matrix: Matrix) -> str:
    """Of two different interests each."""
    known = [value for one, line in enumerate(matrix) for value in line[:one] if value is not None]
    return f"{np.mean(known):.3f}" if known else "no pair"


def _category_nmi(owner_N: IntArray, row_N: IntArray, categories: Categories) -> float | None:
    event_M, code_M = categories.pairs(row_N)
    if len(event_M) == 0:
        return None
    weight_N = 1.0 / np.maximum(np.bincount(event_M, minlength=len(row_N)), 1)
    joint_KG = np.zeros((int(owner_N.max()) + 1, len(categories.names)))
    np.add.at(joint_KG, (owner_N[event_M], code_M), weight_N[event_M])
    return agreement(joint_KG / joint_KG.sum())
