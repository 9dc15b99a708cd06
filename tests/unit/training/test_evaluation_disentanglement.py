from __future__ import annotations

import math

import numpy as np
import pytest

from unbraid_core.catalogue import Catalogue
from unbraid_core.categories import Categories
from unbraid_core.types import DoubleArray, FloatArray, History, Interests
from unbraid_training.evaluation.clustering import normalised_mutual_information
from unbraid_training.evaluation.disentanglement import Disentanglement

RNG = np.random.default_rng(0)


def interests(rows: list[int], owners: list[int], vectors_KD: DoubleArray, share: float = 1.0) -> Interests:
    """A user whose events belong to their owners by ``share``, and to the other interests in equal parts."""
    interest_count, event_count = len(vectors_KD), len(rows)
    assignment_KL: FloatArray = np.full(
        (interest_count, event_count), (1.0 - share) / max(interest_count - 1, 1), np.float32
    )
    assignment_KL[owners, np.arange(event_count)] = share
    mass_K = assignment_KL.sum(axis=1).astype(np.float64)
    zeros_N = np.zeros(event_count)
    history = History(np.array(rows, np.int64), zeros_N, zeros_N.astype(np.int64))
    with np.errstate(divide="ignore"):
        log_share_K = np.log(mass_K / mass_K.sum())
    return Interests(history, vectors_KD.astype(np.float32), assignment_KL, mass_K, log_share_K)


def unit(vectors_KD: DoubleArray) -> DoubleArray:
    unit_KD: DoubleArray = vectors_KD / np.linalg.norm(vectors_KD, axis=1, keepdims=True)
    return unit_KD


def people(count: int, interest_count: int = 2) -> list[Interests]:
    """Each uses all interests equally, with vectors of their own."""
    rows = list(range(interest_count * 2))
    owners = [row % interest_count for row in rows]
    return [interests(rows, owners, unit(RNG.normal(size=(interest_count, 8)))) for _ in range(count)]


def test_cosines_are_means_over_those_who_use_both_interests() -> None:
    apart, near = np.eye(3), unit(np.array([[1.0, 0, 0], [1.0, 1.0, 0], [0, 0, 1.0]]))
    users = [interests([0, 1], [0, 1], apart)] * 2 + [interests([0, 1], [0, 1], near)] * 2
    users += [interests([0, 1], [0, 0], np.ones((3, 3)) / math.sqrt(3))]
    found = Disentanglement.of(users, None, seed=1)
    assert found.cosine[0][1] == found.cosine[1][0] == pytest.approx(math.sqrt(0.5) / 2)
    assert found.cosine[0][0] == pytest.approx(1.0)
    assert found.cosine[0][2] is found.cosine[2][2] is None
    assert found.distance_correlation[0][2] is None
    assert found.category_nmi is None


def test_independent_interests_have_no_distance_correlation_and_copies_have_all_of_it() -> None:
    found = Disentanglement.of(people(300), None, seed=1)
    assert found.corrected_distance_correlation[0][1] == pytest.approx(0.0, abs=0.15)
    vectors = [unit(RNG.normal(size=(1, 8))) for _ in range(60)]
    same = [interests([0, 1], [0, 1], np.concatenate([each, each])) for each in vectors]
    assert Disentanglement.of(same, None, seed=1).distance_correlation[0][1] == pytest.approx(1.0)


def test_effective_interests_count_what_is_used() -> None:
    evenly = [interests([0, 1, 2, 3], [0, 1, 2, 3], np.eye(4))] * 5
    assert Disentanglement.of(evenly, None, 1).effective_interests.mean == pytest.approx(4.0)
    one = [interests([0, 1, 2, 3], [2, 2, 2, 2], np.eye(4))] * 5
    found = Disentanglement.of(one, None, 1)
    assert found.effective_interests.mean == found.effective_alive.mean == pytest.approx(1.0)
    blurred = Disentanglement.of([interests([0, 1], [0, 1], np.eye(4), share=0.7)] * 5, None, 1)
    assert blurred.sharpness == pytest.approx(0.7)


def test_agreement_with_single_categories_is_that_of_two_groupings() -> None:
    owners, kinds = [0, 0, 1, 1, 1, 0], [0, 0, 1, 1, 0, 1]
    catalogue = Catalogue.of([*"abcdef"], categories=[[f"kind {kind}"] for kind in kinds])
    users = [interests([*range(6)], owners, np.eye(2))] * 2
    found = Disentanglement.of(users, Categories.of(catalogue), 1).category_nmi
    assert found == pytest.approx(normalised_mutual_information(np.array(owners), np.array(kinds)))


def test_an_event_of_several_categories_counts_in_equal_parts_and_one_of_none_does_not() -> None:
    catalogue = Catalogue.of([*"abc"], categories=[["x", "y"], ["x"], []])
    users = [interests([0, 1, 2], [0, 1, 1], np.eye(2))]
    # Joint shares of (interest, category): (0, x) 1/4, (0, y) 1/4, (1, x) 1/2.
    joint, first, second = [0.25, 0.25, 0.5], [0.5, 0.5], [0.75, 0.25]

    def entropy(shares: list[float]) -> float:
        return -sum(share * math.log(share) for share in shares)

    expected = 2 * (entropy(first) + entropy(second) - entropy(joint)) / (entropy(first) + entropy(second))
    assert Disentanglement.of(users, Categories.of(catalogue), 1).category_nmi == pytest.approx(expected)


def test_nobody_bought_anything_of_a_category() -> None:
    catalogue = Catalogue.of([*"abc"], categories=[["x"], [], []])
    users = [interests([1, 2], [0, 1], np.eye(2))]
    assert Disentanglement.of(users, Categories.of(catalogue), 1).category_nmi is None


def test_one_interest_has_no_pair() -> None:
    rows = dict(Disentanglement.of(people(10, interest_count=1), None, 1).rows()[1:])
    assert rows["cosine of a user's interests, mean over pairs"] == "no pair"
    assert rows["effective interests in a history"] == "1.00 [1.00, 1.00]"
    assert rows["agreement of interest and category (NMI)"] == "no categories"


def test_the_sample_of_many_users_depends_on_the_seed_alone() -> None:
    users = people(700)
    assert Disentanglement.of(users, None, 3) == Disentanglement.of(users, None, 3)
    one, other = Disentanglement.of(users, None, 3), Disentanglement.of(users, None, 4)
    assert one.distance_correlation != other.distance_correlation
    assert one.cosine == other.cosine
