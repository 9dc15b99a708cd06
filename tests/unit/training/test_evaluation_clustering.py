from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid_training.evaluation.clustering import normalised_mutual_information

groups = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=60)


@given(groups)
def test_it_lies_between_0_and_1_and_has_no_direction(pairs: list[tuple[int, int]]) -> None:
    first_N, second_N = np.array(pairs).T
    agreement = normalised_mutual_information(first_N, second_N)
    assert -1e-9 <= agreement <= 1 + 1e-9
    assert agreement == pytest.approx(normalised_mutual_information(second_N, first_N), abs=1e-9)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.permutations(range(5)))
def test_names_of_groups_do_not_matter(group_N: list[int], name_of: list[int]) -> None:
    first_N = np.array(group_N)
    assert normalised_mutual_information(first_N, np.array(name_of)[first_N]) == pytest.approx(1.0)


def test_independent_groupings_agree_in_nothing() -> None:
    first_N, second_N = np.divmod(np.arange(12), 4)
    assert normalised_mutual_information(first_N, second_N) == pytest.approx(0.0, abs=1e-12)


def test_by_hand() -> None:
    # Joint shares 1/2, 1/4, 1/4: I = H(3/4, 1/4) + H(1/2, 1/2) - H(1/2, 1/4, 1/4) = 0.5623 + 0.6931 - 1.0397.
    agreement = normalised_mutual_information(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]))
    assert agreement == pytest.approx(2 * 0.215762 / (0.562335 + 0.693147), rel=1e-5)
