"""Balance: what every interest is sure of, and that nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unbraid_core.balance import balanced

if TYPE_CHECKING:
    from tests.unit.core.conftest import MakeWorld

seeds = st.integers(0, 2**32 - 1)
shares_of = st.floats(0.0, 1.0)


@given(
    interests=st.lists(st.integers(0, 3), min_size=1, max_size=60),
    weights=st.lists(st.floats(0.01, 1.0), min_size=4, max_size=4),
    balance=shares_of,
    limit=st.integers(1, 40),
)
def test_every_interest_has_the_places_that_it_is_sure_of_and_the_best_have_the_rest(
    interests: list[int], weights: list[float], balance: float, limit: int
) -> None:
    share_K = np.array(weights) / sum(weights)
    order = balanced(np.array(interests), np.log(share_K), balance, limit).tolist()
    assert sorted(order) == list(range(len(interests)))
    listed, others = order[:limit], order[limit:]
    assert listed == sorted(listed)
    assert others == sorted(others)
    for interest, share in enumerate(share_K):
        own = [position for position, each in enumerate(interests) if each == interest]
        sure = own[: int(balance * limit * share + 1e-9)]
        assert set(sure) <= set(listed)
        unsure_listed = [position for position in listed if position in own and position not in sure]
        # Whoever got a free place is better than everybody who got none.
        assert all(position < left_out for position in unsure_listed for left_out in others)


def test_balance_by_hand() -> None:
    interest_C = np.array([0, 0, 0, 0, 1, 0, 1, 1])
    log_share_K = np.log([0.5, 0.5])
    assert balanced(interest_C, log_share_K, 0.0, 4).tolist() == list(range(8))
    assert balanced(interest_C, log_share_K, 0.5, 4).tolist()[:4] == [0, 1, 2, 4]
    assert balanced(interest_C, log_share_K, 1.0, 4).tolist()[:4] == [0, 1, 4, 6]


@given(seed=seeds, balance=shares_of)
def test_a_single_interest_has_all_places_anyway(make_world: MakeWorld, seed: int, balance: float) -> None:
    pipeline, (query,) = make_world(seed)
    plain, same = pipeline.recommend([query, replace(query, balance=balance)])
    if len(pipeline.half_life_s_K) == 1 or plain.interests is None:
        assert same.row_R.tolist() == plain.row_R.tolist()
    assert len(same.row_R) == len(plain.row_R)
    assert (np.diff(same.score_R) <= 0).all()
