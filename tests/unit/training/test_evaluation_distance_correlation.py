from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid_core.types import DoubleArray
from unbraid_training.evaluation.distance_correlation import corrected_distance_correlation, distance_correlation

BOTH = [distance_correlation, corrected_distance_correlation]


def by_definition(first_ND: DoubleArray, second_ND: DoubleArray) -> float:
    """Székely, Rizzo and Bakirov 2007, definitions 4 and 5, number by number."""

    def centred(vectors_ND: DoubleArray) -> list[list[float]]:
        distance = [[math.dist(one, other) for other in vectors_ND] for one in vectors_ND]
        count = len(distance)
        mean = [sum(line) / count for line in distance]
        grand = sum(mean) / count
        return [[distance[i][j] - mean[i] - mean[j] + grand for j in range(count)] for i in range(count)]

    def product(one: list[list[float]], other: list[list[float]]) -> float:
        return sum(a * b for line, lane in zip(one, other, strict=True) for a, b in zip(line, lane, strict=True))

    first, second = centred(first_ND), centred(second_ND)
    return math.sqrt(product(first, second) / math.sqrt(product(first, first) * product(second, second)))


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(4, 12))
def test_it_is_the_definition(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    first_ND = rng.normal(size=(count, 3))
    second_ND = first_ND[:, :2] ** 2 + rng.normal(size=(count, 2))
    assert distance_correlation(first_ND, second_ND) == pytest.approx(by_definition(first_ND, second_ND))


@pytest.mark.parametrize("measure", BOTH)
def test_it_is_1_for_a_rotated_and_scaled_copy(measure: type) -> None:
    rng = np.random.default_rng(1)
    first_ND = rng.normal(size=(40, 5))
    rotation_DD = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    assert measure(first_ND, 3.0 * first_ND @ rotation_DD + 1.0) == pytest.approx(1.0)


def test_it_sees_a_dependence_without_correlation() -> None:
    first_ND = np.random.default_rng(2).normal(size=(400, 1))
    assert abs(np.corrcoef(first_ND[:, 0], first_ND[:, 0] ** 2)[0, 1]) < 0.2
    assert corrected_distance_correlation(first_ND, first_ND**2) > 0.4


def test_only_the_corrected_form_is_near_0_for_independent_vectors_of_many_dimensions() -> None:
    rng = np.random.default_rng(3)
    first_ND, second_ND = rng.normal(size=(100, 64)), rng.normal(size=(100, 64))
    assert distance_correlation(first_ND, second_ND) > 0.6
    assert corrected_distance_correlation(first_ND, second_ND) < 0.15


@pytest.mark.parametrize("measure", BOTH)
def test_what_never_changes_depends_on_nothing(measure: type) -> None:
    first_ND = np.tile([[0.6, 0.8]], (10, 1))
    assert measure(first_ND, np.random.default_rng(4).normal(size=(10, 2))) == 0.0
