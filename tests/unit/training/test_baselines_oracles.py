"""Every baseline against a slow calculation that follows its definition."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid_core.catalogue import Catalogue
from unbraid_core.types import DoubleArray, History
from unbraid_training.baselines.baseline import Baseline
from unbraid_training.baselines.ease import Ease
from unbraid_training.baselines.ials import Ials
from unbraid_training.baselines.item_knn import ItemKnn
from unbraid_training.baselines.own_frequency import OwnFrequency
from unbraid_training.baselines.profile import Profile, Weights
from unbraid_training.baselines.user_knn import UserKnn
from unbraid_training.data.dataset import Dataset

DAY_S = 86_400.0
NOW_DAY = 50.0
USER_COUNT, ITEM_COUNT = 9, 12
Events = list[tuple[int, int, float]]

seeds = st.integers(0, 2**32 - 1)
half_lives_days = st.sampled_from([None, 3.0, 90.0])


def dataset(events: Events) -> Dataset:
    """Events as (user, row, time in days)."""
    user_E, row_E, day_E = (np.array(column) for column in zip(*events, strict=True))
    items = Catalogue.of([f"i{row}" for row in range(ITEM_COUNT)])
    users = [f"u{user}" for user in range(USER_COUNT)]
    return Dataset.of(items, users, [""], user_E, row_E, day_E * DAY_S, np.zeros(len(events), np.int64))


def random_events(seed: int) -> Events:
    """Sixty events of users 0 to 7, item 0 being the most popular; user 8 has a single one."""
    rng = np.random.default_rng(seed)
    rows = np.minimum(rng.geometric(0.15, size=60) - 1, ITEM_COUNT - 1)
    events = [(int(rng.integers(8)), int(row), float(rng.random() * NOW_DAY)) for row in rows]
    return [*events, (8, 3, 10.0)]


def weights(events: Events, profile: Profile) -> list[dict[int, float]]:
    """The profile of every user, event by event."""
    found: list[dict[int, float]] = [{} for _ in range(USER_COUNT)]
    for user, row, day in events:
        age_s = (NOW_DAY - day) * DAY_S
        weight = 1.0 if profile.half_life_s is None else 2.0 ** (-age_s / profile.half_life_s)
        before = found[user].get(row, 0.0)
        found[user][row] = before + weight if profile.counted else max(before, weight)
    return found


def dense(found: Sequence[dict[int, float]]) -> DoubleArray:
    return np.array([[weights.get(row, 0.0) for row in range(ITEM_COUNT)] for weights in found])


def profiles(train: Dataset, profile: Profile) -> Weights:
    histories = [train.history(user) for user in range(USER_COUNT)]
    return profile.of(histories, np.full(USER_COUNT, NOW_DAY * DAY_S), ITEM_COUNT)


def fading(counted: bool, half_life_days: float | None) -> Profile:
    return Profile(counted, None if half_life_days is None else half_life_days * DAY_S)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, counted=st.booleans(), half_life_days=half_lives_days)
def test_a_profile_weighs_the_newest_event_or_all_of_them(
    seed: int, counted: bool, half_life_days: float | None
) -> None:
    events, profile = random_events(seed), fading(counted, half_life_days)
    actual = profiles(dataset(events), profile).toarray()
    np.testing.assert_allclose(actual, dense(weights(events, profile)), rtol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, regularisation=st.sampled_from([0.5, 30.0]), half_life_days=half_lives_days)
def test_ease_is_the_ridge_regression_of_every_item_on_the_others(
    seed: int, regularisation: float, half_life_days: float | None
) -> None:
    events, profile = random_events(seed), fading(False, half_life_days)
    seen_UI, profile_UI = dense(weights(events, Profile(False))), dense(weights(events, profile))
    expected = np.empty_like(seen_UI)
    for item in range(ITEM_COUNT):
        others = np.delete(seen_UI, item, axis=1)
        gram = others.T @ others + regularisation * np.eye(ITEM_COUNT - 1)
        coefficients = np.linalg.solve(gram, others.T @ seen_UI[:, item])
        expected[:, item] = np.delete(profile_UI, item, axis=1) @ coefficients
    train = dataset(events)
    actual = Ease(regularisation).fit(train).score(profiles(train, profile))
    np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-10)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, shrinkage=st.sampled_from([0.0, 5.0]), count=st.sampled_from([1, 3, 100]))
def test_item_neighbours_are_summed_by_shrunk_cosine(seed: int, shrinkage: float, count: int) -> None:
    events, profile = random_events(seed), fading(False, 20.0)
    users_of = [{user for user, row, _ in events if row == item} for item in range(ITEM_COUNT)]
    expected = np.zeros((USER_COUNT, ITEM_COUNT))
    for item in range(ITEM_COUNT):
        similarity = {}
        for other in range(ITEM_COUNT):
            common = len(users_of[item] & users_of[other])
            if other != item and common:
                norm = math.sqrt(len(users_of[item]) * len(users_of[other]))
                similarity[other] = common / (norm + shrinkage)
        nearest = sorted(similarity, key=lambda other: (-similarity[other], other))[:count]
        for user, weight_of in enumerate(weights(events, profile)):
            expected[user, item] = sum(similarity[other] * weight_of.get(other, 0.0) for other in nearest)
    train = dataset(events)
    actual = ItemKnn(shrinkage, count).fit(train).score(profiles(train, profile))
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, count=st.sampled_from([1, 3, 100]), own_share=st.sampled_from([0.0, 0.3]))
def test_user_neighbours_vote_by_cosine_and_own_counts_are_blended_in(seed: int, count: int, own_share: float) -> None:
    events, profile = random_events(seed), fading(True, 30.0)
    vectors = dense(weights(events, profile))
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-300)
    cosines = units @ units.T
    expected = np.empty_like(units)
    for user in range(USER_COUNT):
        nearest = sorted(range(USER_COUNT), key=lambda other: -cosines[user, other])[:count]
        total = sum(cosines[user, other] for other in nearest)
        votes = sum((cosines[user, other] * units[other] for other in nearest), np.zeros(ITEM_COUNT))
        expected[user] = own_share * units[user] + (1 - own_share) * votes / max(total, 1e-300)
    train = dataset(events)
    actual = UserKnn(count, own_share, 30.0 * DAY_S).fit(train).score(profiles(train, profile))
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, half_life_days=half_lives_days)
def test_own_frequency_comes_first_and_popularity_orders_the_rest(seed: int, half_life_days: float | None) -> None:
    events, profile = random_events(seed), fading(True, half_life_days)
    newest_day = max(day for _, _, day in events)
    popularity = [sum(2.0 ** (-(newest_day - day) / 7) for _, row, day in events if row == item) for item in range(12)]
    train = dataset(events)
    score_UI = OwnFrequency(7 * DAY_S).fit(train).score(profiles(train, profile))
    for user, weight_of in enumerate(weights(events, profile)):
        expected = sorted(range(ITEM_COUNT), key=lambda row: (-round(weight_of.get(row, 0.0), 9), -popularity[row]))
        assert np.argsort(-score_UI[user], kind="stable").tolist() == expected


@settings(max_examples=10, deadline=None)
@given(seed=seeds, half_life_days=half_lives_days)
def test_ials_folds_a_profile_in_by_least_squares(seed: int, half_life_days: float | None) -> None:
    events, profile = random_events(seed), fading(True, half_life_days)
    train = dataset(events)
    fitted = Ials(factor_count=4, regularisation=2.0, confidence=3.0, seed=1).fit(train)
    item_ID = np.asarray(fitted.als.item_factors, np.float64)
    expected = np.empty((USER_COUNT, ITEM_COUNT))
    for user, weight_of in enumerate(weights(events, profile)):
        # sum_i c_i (p_i - x y_i)^2 + 2 |x|^2, where c_i = 3 r_i and p_i = 1 for items in the profile, else 1 and 0.
        left, right = item_ID.T @ item_ID + 2.0 * np.eye(4), np.zeros(4)
        for row, weight in weight_of.items():
            left += (3.0 * weight - 1.0) * np.outer(item_ID[row], item_ID[row])
            right += 3.0 * weight * item_ID[row]
        expected[user] = item_ID @ np.linalg.solve(left, right)
    np.testing.assert_allclose(fitted.score(profiles(train, profile)), expected, rtol=1e-3, atol=1e-4)


def test_ials_finds_out_who_belongs_together() -> None:
    # Users 0 to 3 have four of items 0 to 4 each, users 4 to 7 four of items 5 to 9, and user 8 has item 6.
    events = [(user, 5 * (user // 4) + row, 1.0) for user in range(8) for row in range(5) if row != user % 5]
    train = dataset([*events, (8, 6, 1.0)])
    fitted = Ials(factor_count=2, regularisation=0.1, confidence=10.0, seed=1).fit(train)
    score_UI = fitted.score(profiles(train, Profile(counted=True)))
    for user in range(9):
        first, second = score_UI[user, :5], score_UI[user, 5:10]
        assert first.min() > second.max() if user < 4 else second.min() > first.max()


@pytest.mark.parametrize(
    "baseline",
    [
        Ease(10.0),
        ItemKnn(10.0),
        UserKnn(300, 0.5, 90 * DAY_S),
        OwnFrequency(),
        Ials(factor_count=4, regularisation=1.0, confidence=10.0, seed=1),
    ],
    ids=lambda baseline: type(baseline).__name__,
)
def test_a_user_of_one_item_and_one_of_none_get_finite_scores(baseline: Baseline[Weights]) -> None:
    train = dataset(random_events(5))
    histories = [train.history(8), History.empty()]
    profile_BI = Profile(counted=True).of(histories, np.full(2, NOW_DAY * DAY_S), ITEM_COUNT)
    score_BI = baseline.fit(train).score(profile_BI)
    assert score_BI.shape == (2, ITEM_COUNT)
    assert score_BI.dtype == np.float64
    assert np.isfinite(score_BI).all()
