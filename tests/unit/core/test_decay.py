"""Decay: the closed form against its recursion, and what must hold for any history."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid_core.decay import decayed_counts, log_contributions, log_mass, log_share, log_survival
from unbraid_core.types import DoubleArray, FloatArray

HOUR_S = 3_600.0
YEAR_S = 365 * 86_400.0


@dataclass(frozen=True)
class Braid:
    """Shares, ages and half-lives of one history."""

    assignment_KL: FloatArray
    age_s_L: DoubleArray
    half_life_s_K: DoubleArray

    def log_mass(self, later_s: float = 0.0) -> DoubleArray:
        return log_mass(self.assignment_KL, self.age_s_L + later_s, self.half_life_s_K)


def braid(seed: int, event_count: int, interest_count: int, oldest_s: float) -> Braid:
    rng = np.random.default_rng(seed)
    return Braid(
        rng.dirichlet(np.ones(interest_count), event_count).T.astype(np.float32),
        rng.uniform(0.0, oldest_s, event_count),
        np.exp(rng.uniform(np.log(HOUR_S), np.log(YEAR_S), interest_count)),
    )


braids = st.builds(
    braid,
    seed=st.integers(0, 2**32 - 1),
    event_count=st.integers(1, 30),
    interest_count=st.integers(1, 6),
    oldest_s=st.floats(1.0, 40 * YEAR_S),
)
waits_s = st.floats(0.0, 5 * YEAR_S)


@given(braids, waits_s)
def test_mass_later_is_mass_now_times_the_decay_of_the_wait(drawn: Braid, wait_s: float) -> None:
    recursive_K = drawn.log_mass() - np.log(2.0) * wait_s / drawn.half_life_s_K
    np.testing.assert_allclose(drawn.log_mass(wait_s), recursive_K, rtol=1e-12, atol=1e-9)


@given(braids, st.lists(waits_s, max_size=5))
def test_event_by_event_updates_give_the_closed_form(drawn: Braid, waits_s: list[float]) -> None:
    """The state of a stream: decay it by the time since the last event, then add the new event."""
    order_L = np.argsort(-drawn.age_s_L)
    mass_K = np.zeros(len(drawn.half_life_s_K))
    age_s = float(drawn.age_s_L[order_L[0]])
    for event in order_L:
        mass_K = mass_K * 2.0 ** (-(age_s - drawn.age_s_L[event]) / drawn.half_life_s_K) + drawn.assignment_KL[:, event]
        age_s = float(drawn.age_s_L[event])
    for wait_s in [age_s, *waits_s]:
        mass_K = mass_K * 2.0 ** (-wait_s / drawn.half_life_s_K)
    np.testing.assert_allclose(np.exp(drawn.log_mass(sum(waits_s))), mass_K, rtol=1e-6, atol=1e-300)


@given(braids, waits_s)
def test_no_mass_grows_with_age(drawn: Braid, wait_s: float) -> None:
    assert (drawn.log_mass(wait_s) <= drawn.log_mass() + 1e-9).all()
    assert (drawn.log_mass(wait_s + HOUR_S) < drawn.log_mass(wait_s)).all()


@given(braids, st.randoms(use_true_random=False))
def test_the_order_of_the_events_does_not_matter(drawn: Braid, shuffler: Random) -> None:
    order = list(range(len(drawn.age_s_L)))
    shuffler.shuffle(order)
    shuffled = Braid(drawn.assignment_KL[:, order], drawn.age_s_L[order], drawn.half_life_s_K)
    np.testing.assert_allclose(shuffled.log_mass(), drawn.log_mass(), rtol=1e-12, atol=1e-12)


@given(braids, st.data())
def test_masses_of_parts_of_a_history_add_up(drawn: Braid, data: st.DataObject) -> None:
    event_count = len(drawn.age_s_L)
    cut = data.draw(st.integers(0, event_count))
    parts = [
        Braid(drawn.assignment_KL[:, part], drawn.age_s_L[part], drawn.half_life_s_K).log_mass()
        for part in (slice(0, cut), slice(cut, event_count))
        if part.stop > part.start
    ]
    np.testing.assert_allclose(np.logaddexp.reduce(parts), drawn.log_mass(), rtol=1e-12, atol=1e-9)


@given(braids)
def test_mass_is_the_sum_of_shares_times_decay(drawn: Braid) -> None:
    for k, half_life_s in enumerate(drawn.half_life_s_K):
        mass = sum(
            float(share) * 2.0 ** (-age_s / half_life_s)
            for share, age_s in zip(drawn.assignment_KL[k], drawn.age_s_L, strict=True)
        )
        assert np.exp(drawn.log_mass()[k]) == pytest.approx(mass, rel=1e-9, abs=1e-300)


@given(braids)
def test_the_mass_is_what_the_events_contribute(drawn: Braid) -> None:
    log_part_KL = log_contributions(drawn.assignment_KL, drawn.age_s_L, drawn.half_life_s_K)
    assert log_part_KL.shape == drawn.assignment_KL.shape
    np.testing.assert_allclose(np.logaddexp.reduce(log_part_KL, axis=1), drawn.log_mass(), rtol=1e-12, atol=1e-9)


@given(braids)
def test_shares_sum_to_1_and_keep_the_proportions_of_the_masses(drawn: Braid) -> None:
    log_mass_K = drawn.log_mass()
    log_share_K = log_share(log_mass_K)
    assert np.exp(log_share_K).sum() == pytest.approx(1.0, rel=1e-12)
    np.testing.assert_allclose(np.diff(log_share_K), np.diff(log_mass_K), rtol=1e-9, atol=1e-6)


def test_shares_survive_decades_at_half_lives_of_an_hour() -> None:
    assignment_KL = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    age_s_L = np.array([80 * YEAR_S, 79 * YEAR_S])
    log_mass_K = log_mass(assignment_KL, age_s_L, np.array([HOUR_S, HOUR_S]))
    log_share_K = log_share(log_mass_K)
    assert (np.exp(log_mass_K) == 0.0).all(), "the masses themselves are below the float64 range"
    assert np.isfinite(log_share_K).all()
    assert np.exp(log_share_K).sum() == pytest.approx(1.0)
    # Interest 1 lives on the younger event; interest 0 has but the smallest share of it.
    assert log_share_K[0] == pytest.approx(np.log(1e-30), rel=1e-6)


def test_an_event_of_the_future_counts_as_one_of_now() -> None:
    age_s_N = np.array([-YEAR_S, -1e-3, 0.0])
    np.testing.assert_array_equal(log_survival(age_s_N, HOUR_S), 0.0)
    np.testing.assert_array_equal(decayed_counts(np.array([0, 1, 2]), age_s_N, HOUR_S, 3), 1.0)


@given(braids)
def test_events_ahead_of_the_clock_give_the_mass_that_they_have_when_it_catches_up(drawn: Braid) -> None:
    newest_s = float(drawn.age_s_L.min())
    ahead = Braid(drawn.assignment_KL, drawn.age_s_L - newest_s - HOUR_S, drawn.half_life_s_K)
    clamped = Braid(drawn.assignment_KL, np.maximum(ahead.age_s_L, 0.0), drawn.half_life_s_K)
    np.testing.assert_array_equal(ahead.log_mass(), clamped.log_mass())


@given(
    st.lists(st.tuples(st.integers(0, 6), st.floats(-HOUR_S, 3 * YEAR_S)), max_size=40),
    st.floats(HOUR_S, 10 * YEAR_S),
)
def test_decayed_counts_follow_their_definition(events: list[tuple[int, float]], half_life_s: float) -> None:
    count_I = decayed_counts(
        np.array([row for row, _ in events], np.int64), np.array([age_s for _, age_s in events]), half_life_s, 7
    )
    expected = [0.0] * 7
    for row, age_s in events:
        expected[row] += 2.0 ** (-max(age_s, 0.0) / half_life_s)
    assert count_I.dtype == np.float64
    np.testing.assert_allclose(count_I, expected, rtol=1e-9, atol=1e-300)
