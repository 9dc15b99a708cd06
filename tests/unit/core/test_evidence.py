"""Evidence: shares of the mass, per item, heaviest first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid_core.decay import log_mass, log_share
from unbraid_core.evidence import weigh_all, weigh_evidence
from unbraid_core.types import DoubleArray, History, Interests

DAY_S = 86400.0
NOW_S = 1.7e9


def braid(seed: int, event_count: int, interest_count: int, oldest_s: float) -> tuple[Interests, DoubleArray]:
    """Random interests over a random history, and their half-lives."""
    rng = np.random.default_rng(seed)
    history = History(
        row_N=rng.integers(0, max(2, event_count // 2), event_count),
        time_s_N=NOW_S - np.sort(rng.uniform(0, oldest_s, event_count))[::-1],
        action_N=np.zeros(event_count, np.int64),
    )
    assignment_KL = rng.dirichlet(np.ones(interest_count), event_count).T.astype(np.float32)
    half_life_s_K = rng.uniform(DAY_S, 100 * DAY_S, interest_count)
    log_mass_K = log_mass(assignment_KL, NOW_S - history.time_s_N, half_life_s_K)
    vectors_KD = np.eye(interest_count, dtype=np.float32)
    return Interests(history, vectors_KD, assignment_KL, np.exp(log_mass_K), log_share(log_mass_K)), half_life_s_K


braids = st.builds(
    braid,
    seed=st.integers(0, 2**32 - 1),
    event_count=st.integers(1, 40),
    interest_count=st.integers(1, 6),
    oldest_s=st.floats(1.0, 20 * 365 * DAY_S),
)


@given(braids)
def test_weights_of_an_interest_sum_to_1_over_its_history(drawn: tuple[Interests, DoubleArray]) -> None:
    interests, half_life_s_K = drawn
    weight_KE = weigh_evidence(interests, NOW_S, half_life_s_K, limit=10_000).weight_KE
    np.testing.assert_allclose(weight_KE.sum(axis=1), 1.0, rtol=1e-12)


@given(braids, st.integers(1, 10))
def test_each_item_once_and_heaviest_first(drawn: tuple[Interests, DoubleArray], limit: int) -> None:
    interests, half_life_s_K = drawn
    found = weigh_evidence(interests, NOW_S, half_life_s_K, limit)
    item_count = len(np.unique(interests.history.row_N))
    assert found.row_KE.shape == (len(half_life_s_K), min(limit, item_count))
    for row_E, weight_E in zip(found.row_KE, found.weight_KE, strict=True):
        assert len(set(row_E.tolist())) == len(row_E)
        assert (np.diff(weight_E) <= 0).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_weights_are_decayed_assignments_over_the_mass(seed: int, event_count: int) -> None:
    interests, half_life_s_K = braid(seed, event_count, 3, oldest_s=30 * DAY_S)
    found = weigh_evidence(interests, NOW_S, half_life_s_K, limit=event_count)
    history = interests.history
    for k, half_life_s in enumerate(half_life_s_K):
        for row, weight in zip(found.row_KE[k], found.weight_KE[k], strict=True):
            age_s_L = (NOW_S - history.time_s_N)[history.row_N == row]
            share_L = interests.assignment_KL[k, history.row_N == row].astype(np.float64)
            assert weight == pytest.approx((share_L * 2 ** (-age_s_L / half_life_s)).sum() / interests.mass_K[k])


@given(braids)
def test_time_and_assignment_are_those_of_the_newest_event_on_the_item(drawn: tuple[Interests, DoubleArray]) -> None:
    interests, half_life_s_K = drawn
    found = weigh_evidence(interests, NOW_S, half_life_s_K, limit=10_000)
    for k in range(len(half_life_s_K)):
        for row, time_s, share in zip(found.row_KE[k], found.time_s_KE[k], found.assignment_KE[k], strict=True):
            newest = np.flatnonzero(interests.history.row_N == row)[-1]
            assert time_s == interests.history.time_s_N[newest]
            assert share == np.float64(interests.assignment_KL[k, newest])


@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 60), st.floats(-DAY_S, DAY_S)), min_size=1, max_size=6)
)
def test_users_together_get_what_each_gets_alone(drawn: list[tuple[int, int, float]]) -> None:
    half_life_s_K = np.array([DAY_S, 9 * DAY_S, 60 * DAY_S])
    users = [(braid(seed, count, 3, oldest_s=90 * DAY_S)[0], NOW_S + later_s) for seed, count, later_s in drawn]

    together = weigh_all(users, half_life_s_K, limit=4)

    for found, (interests, now_s) in zip(together, users, strict=True):
        alone = weigh_evidence(interests, now_s, half_life_s_K, limit=4)
        for column in ("row_KE", "time_s_KE", "assignment_KE", "weight_KE"):
            np.testing.assert_array_equal(getattr(found, column), getattr(alone, column))


def test_weights_stay_exact_when_the_mass_is_long_below_the_float_range() -> None:
    interests, _ = braid(seed=3, event_count=8, interest_count=2, oldest_s=DAY_S)
    half_life_s_K = np.array([60.0, 60.0])
    weight_KE = weigh_evidence(interests, NOW_S + 10 * 365 * DAY_S, half_life_s_K, limit=100).weight_KE
    np.testing.assert_allclose(weight_KE.sum(axis=1), 1.0, rtol=1e-12)
