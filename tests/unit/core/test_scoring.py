"""Quotas, and the score formula on numbers that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid_core.scoring import affinities, quotas, score_terms
from unbraid_core.types import DoubleArray, FloatArray, History, Interests, Query, ScoreTerms, Scoring

NOW_S = 1.7e9
DAY_S = 86_400.0


def scoring(**numbers: float | bool) -> Scoring:
    given_numbers = {"temperature": 0.5, "beta": 1.0, "gamma": 1.0, "delta": 1.0, "own_half_life_s": DAY_S}
    return Scoring(**{"popularity_half_life_s": DAY_S, **given_numbers, **numbers})  # type: ignore[arg-type]  # two counts


def log_shares(seed: int, interest_count: int) -> DoubleArray:
    share_K = np.random.default_rng(seed).dirichlet(np.full(interest_count, 0.5)) + 1e-12
    log_share_K: DoubleArray = np.log(share_K / share_K.sum())
    return log_share_K


shares = st.builds(log_shares, st.integers(0, 2**32 - 1), st.integers(1, 64))


@given(shares, st.integers(1, 1000), st.floats(0.0, 2.0), st.integers(1, 50))
def test_every_interest_has_its_minimum_and_together_they_fill_the_count(
    log_share_K: DoubleArray, count: int, alpha: float, minimum: int
) -> None:
    quota_K = quotas(log_share_K, scoring(candidate_count=count, quota_alpha=alpha, quota_min=minimum))
    assert quota_K.dtype == np.int64
    assert quota_K.min() >= minimum
    slack = len(log_share_K) / 2
    assert count - slack <= quota_K.sum() <= count + slack + len(log_share_K) * minimum


@given(shares, st.floats(0.0, 2.0))
def test_a_larger_share_never_has_the_smaller_quota(log_share_K: DoubleArray, alpha: float) -> None:
    quota_K = quotas(log_share_K, scoring(candidate_count=300, quota_alpha=alpha, quota_min=1))
    assert (np.diff(quota_K[np.argsort(log_share_K)]) >= 0).all()


@given(shares)
def test_alpha_0_shares_out_evenly_and_alpha_1_by_share(log_share_K: DoubleArray) -> None:
    even_K = quotas(log_share_K, scoring(candidate_count=500, quota_alpha=0.0, quota_min=1))
    assert set(even_K.tolist()) == {round(500 / len(log_share_K))}
    by_share_K = quotas(log_share_K, scoring(candidate_count=500, quota_alpha=1.0, quota_min=1))
    assert (np.abs(by_share_K - 500 * np.exp(log_share_K)) <= 1.0).all()


def test_an_interest_that_is_long_dead_keeps_its_minimum() -> None:
    quota_K = quotas(np.array([0.0, -2e5]), scoring(candidate_count=100, quota_min=7))
    assert quota_K.tolist() == [100, 7]


def test_quotas_by_hand() -> None:
    # The square roots of 0.64 and 0.36 are 0.8 and 0.6; 0.8 / 1.4 * 70 = 40.
    quota_K = quotas(np.log([0.64, 0.36]), scoring(candidate_count=70, quota_alpha=0.5, quota_min=1))
    assert quota_K.tolist() == [40, 30]


HISTORY = History(
    row_N=np.array([1, 2, 1]),
    time_s_N=NOW_S - np.array([2 * DAY_S, DAY_S, 0.0]),
    action_N=np.zeros(3, np.int64),
)
INTERESTS = Interests(
    history=HISTORY,
    vectors_KD=np.array([[1.0, 0.0], [0.0, 1.0]], np.float32),
    assignment_KL=np.full((2, 3), 0.5, np.float32),
    mass_K=np.array([0.75, 0.25]),
    log_share_K=np.log([0.75, 0.25]),
)
ROWS = np.array([1, 2, 3])
VECTORS: FloatArray = np.array([[1.0, 0.0], [0.0, 1.0], [-0.6, 0.8]], np.float32)
LOG_POPULARITY: FloatArray = np.array([-1.0, -2.0, -4.0], np.float32)


def terms_of(query: Query, interests: Interests | None, numbers: Scoring) -> tuple[list[int], ScoreTerms]:
    affinity_CK = affinities(interests, VECTORS, numbers)
    speaker_C, terms = score_terms(query, interests, ROWS, affinity_CK, LOG_POPULARITY, numbers)
    return speaker_C.tolist(), terms


def test_the_terms_by_hand() -> None:
    numbers = scoring(temperature=0.5, beta=1.5, gamma=0.5, delta=3.0)
    speakers, terms = terms_of(Query(HISTORY, NOW_S, 3, include_seen=True), INTERESTS, numbers)
    assert speakers == [0, 1, 1]
    assert terms.affinity_R.tolist() == pytest.approx([2.0, 2.0, 1.6])
    assert terms.interest_R.tolist() == pytest.approx([1.5 * np.log(share) for share in (0.75, 0.25, 0.25)])
    assert terms.popularity_R.tolist() == [-0.5, -1.0, -2.0]
    # Row 1 has one event of now and one of two half-lives ago, row 2 one of a half-life ago, row 3 none.
    assert terms.frequency_R.tolist() == pytest.approx([3 * np.log(2.25), 3 * np.log(1.5), 0.0])
    assert terms.total()[2] == pytest.approx(1.6 + 1.5 * np.log(0.25) - 2.0)


def test_own_frequency_counts_only_where_seen_items_may_return() -> None:
    _, terms = terms_of(Query(HISTORY, NOW_S, 3), INTERESTS, scoring(delta=3.0))
    assert terms.frequency_R.tolist() == [0.0, 0.0, 0.0]


def test_a_fading_interest_never_raises_a_score() -> None:
    """The reason why a decay is an added log share: times a negative product it would lift the score."""
    faded = Interests(
        HISTORY, INTERESTS.vectors_KD[:1], INTERESTS.assignment_KL[:1], np.array([1.0]), np.log(np.array([0.01]))
    )
    alive = Interests(
        HISTORY, INTERESTS.vectors_KD[:1], INTERESTS.assignment_KL[:1], np.array([1.0]), np.log(np.array([1.0]))
    )
    query = Query(HISTORY, NOW_S, 3)
    assert VECTORS[2] @ faded.vectors_KD[0] < 0
    _, faded_terms = terms_of(query, faded, scoring())
    _, alive_terms = terms_of(query, alive, scoring())
    assert (faded_terms.total() < alive_terms.total()).all()


def test_a_mixture_by_hand() -> None:
    numbers = scoring(temperature=0.5, beta=1.0, gamma=0.0, mixture=True)
    speakers, terms = terms_of(Query(HISTORY, NOW_S, 3), INTERESTS, numbers)
    affinity_CK = np.array([[2.0, 0.0], [0.0, 2.0], [-1.2, 1.6]])
    choice_CK = np.exp(affinity_CK) / np.exp(affinity_CK).sum(axis=0)
    assert speakers == [0, 1, 1]
    assert terms.affinity_R.tolist() == pytest.approx([2.0, 2.0, 1.6])
    assert np.exp(terms.total()).tolist() == pytest.approx(choice_CK @ [0.75, 0.25])


def test_a_mixture_of_one_interest_orders_items_by_their_affinity() -> None:
    alone = Interests(HISTORY, INTERESTS.vectors_KD[:1], INTERESTS.assignment_KL[:1], np.array([1.0]), np.zeros(1))
    query = Query(HISTORY, NOW_S, 3)
    together, apart = (terms_of(query, alone, scoring(mixture=mixture))[1].total() for mixture in (True, False))
    np.testing.assert_allclose(np.diff(together), np.diff(apart))


def test_an_interest_with_many_items_near_it_gives_no_more_away_than_any_other() -> None:
    """What both are worth is 1/2: one for a single item, the other for nine that are alike."""
    crowd: FloatArray = np.array([[1.0, 0.0], *([[0.0, 1.0]] * 9)], np.float32)
    numbers = scoring(temperature=0.01, gamma=0.0, mixture=True)
    equal = Interests(HISTORY, INTERESTS.vectors_KD, INTERESTS.assignment_KL, np.ones(2), np.log([0.5, 0.5]))
    affinity_CK = affinities(equal, crowd, numbers)
    _, terms = score_terms(
        Query(HISTORY, NOW_S, 10), equal, np.arange(10), affinity_CK, np.zeros(10, np.float32), numbers
    )
    assert np.exp(terms.total()).tolist() == pytest.approx([1 / 2] + [1 / 18] * 9)


def test_a_stronger_share_takes_over_an_item_that_two_interests_claim() -> None:
    vectors_CD = np.array([[0.6, 0.8]], np.float32)
    query = Query(HISTORY, NOW_S, 1)
    affinity_CK = affinities(INTERESTS, vectors_CD, scoring())
    speakers = [
        int(score_terms(query, INTERESTS, np.array([0]), affinity_CK, LOG_POPULARITY[:1], scoring(beta=beta))[0][0])
        for beta in (0.0, 2.0)
    ]
    assert speakers == [1, 0]


def test_without_interests_the_score_is_the_log_popularity_at_weight_1() -> None:
    nobody = Query(History.empty(), NOW_S, 3, include_seen=True)
    speakers, terms = terms_of(nobody, None, scoring(gamma=0.25))
    assert speakers == [-1, -1, -1]
    assert terms.total().tolist() == LOG_POPULARITY.tolist()
    for other_R in (terms.affinity_R, terms.interest_R, terms.frequency_R):
        assert not other_R.any()
