"""Spaces to compare items in, and the diversity of lists in them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid_core.catalogue import Catalogue
from unbraid_training.data.dataset import Dataset
from unbraid_training.evaluation.diversity import intra_list_diversity
from unbraid_training.evaluation.item_space import ItemSpace, item_spaces

TITLES = ["Red mug", "Blue mug", "Red kettle", "7", ""]
CATEGORIES = [["cup"], ["cup"], ["pot", "metal"], [], ["metal"]]


def dataset(*pairs: tuple[int, int], categories: list[list[str]] | None = None) -> Dataset:
    """Events of (user, row), one a second, on five items."""
    user_E, row_E = np.array(pairs, np.int64).T
    catalogue = Catalogue.of([f"i{row}" for row in range(5)], TITLES, categories)
    users = [f"u{user}" for user in range(4)]
    time_s_E, action_E = np.arange(len(pairs), dtype=np.float64), np.zeros(len(pairs), np.int64)
    return Dataset.of(catalogue, users, [""], user_E, row_E, time_s_E, action_E)


def cosines(space: ItemSpace) -> dict[tuple[int, int], float]:
    dense_IF = space.vectors_IF.toarray()
    return {
        pair: float(dense_IF[pair[0]] @ dense_IF[pair[1]]) for pair in itertools.combinations(range(len(dense_IF)), 2)
    }


def test_the_spaces_of_a_data_set_by_hand() -> None:
    data = dataset((0, 0), (0, 1), (1, 0), (1, 0), (2, 2), (3, 0), (3, 2), categories=CATEGORIES)
    users, categories, titles = item_spaces(data)
    assert [users.name, categories.name, titles.name] == ["co-occurrence", "categories", "titles"]
    # Item 0 has the users 0, 1 and 3, item 1 has 0, item 2 has 2 and 3; nobody has the others.
    assert cosines(users)[0, 1] == pytest.approx(1 / math.sqrt(3))
    assert cosines(users)[0, 2] == pytest.approx(1 / math.sqrt(6))
    assert cosines(users)[1, 2] == cosines(users)[3, 4] == 0.0
    assert cosines(categories)[0, 1] == pytest.approx(1.0)
    assert cosines(categories)[2, 4] == pytest.approx(1 / math.sqrt(2))
    assert cosines(categories)[0, 3] == 0.0
    # "red" and "mug" stand in two of five titles, "blue" and "kettle" in one.
    common, rare = math.log(5 / 2), math.log(5)
    shared = common**2 / (math.hypot(common, common) * math.hypot(common, rare))
    assert cosines(titles)[0, 1] == pytest.approx(shared)
    assert cosines(titles)[0, 2] == pytest.approx(shared)
    assert cosines(titles)[1, 2] == 0.0


def test_without_categories_there_is_no_space_of_them() -> None:
    assert [space.name for space in item_spaces(dataset((0, 0), (1, 2)))] == ["co-occurrence", "titles"]


@given(seed=st.integers(0, 2**32 - 1))
def test_diversity_is_the_mean_over_all_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    row_N, feature_N = rng.integers(0, 60, 150), rng.integers(0, 7, 150)
    space = ItemSpace.of("drawn", row_N, feature_N, rng.uniform(0.1, 2.0, 7), 60)
    row_HR = np.full((4, 55), -1, np.int64)
    for row_R in row_HR:
        length = int(rng.integers(0, 56))
        row_R[:length] = rng.permutation(60)[:length]
    dense_IF = space.vectors_IF.toarray()
    for row_R, value in zip(row_HR, intra_list_diversity(row_HR, space), strict=True):
        top = [int(row) for row in row_R[:50] if row >= 0]
        distances = [1.0 - dense_IF[one] @ dense_IF[other] for one, other in itertools.combinations(top, 2)]
        assert value == pytest.approx(np.mean(distances) if distances else 0.0, abs=1e-9)


def test_items_of_which_nothing_is_known_are_like_no_other() -> None:
    space = ItemSpace.of("drawn", np.array([0, 1]), np.array([0, 0]), np.ones(1), 4)
    row_HR = np.array([[0, 1, -1], [2, 3, -1], [0, 2, 3]])
    assert intra_list_diversity(row_HR, space).tolist() == pytest.approx([0.0, 1.0, 1.0])
