from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid_core.catalogue import Catalogue
from unbraid_core.types import IntArray
from unbraid_training.data.dataset import Dataset
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.popularity import Popularity, choose_half_life

DAY_S = 86_400.0
Events = list[tuple[int, int, float]]


def dataset(events: Events, item_count: int) -> Dataset:
    """Events as (user, row, time in days)."""
    user_E, row_E, day_E = (np.array(column) for column in zip(*events, strict=True))
    items = Catalogue.of([f"i{row}" for row in range(item_count)])
    users = [f"u{user}" for user in range(int(user_E.max()) + 1)]
    return Dataset.of(items, users, [""], user_E, row_E, day_E * DAY_S, np.zeros(len(events), np.int64))


def cases(train: Dataset, asking: dict[int, float], task: Task = Task.ALL) -> Cases:
    """Users who ask at a day; their targets play no part in a ranking."""
    days = np.array(list(asking.values()))
    return Cases(task, train, np.array(list(asking)), days * DAY_S, [np.array([0])] * len(asking), 0)


def top(row_HR: IntArray, user: int, count: int) -> list[int]:
    return [int(row) for row in row_HR[user, :count]]


def test_decay_by_hand() -> None:
    # At day 10 with a half-life of 2 days: item 0 weighs 3 * 2^-5, item 1 weighs 2^-3, item 2 weighs 2^-1.
    train = dataset([(0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 1, 4), (0, 2, 8)], item_count=3)
    asked = cases(train, {1: 10.0})
    assert top(Popularity(2 * DAY_S, seed=1).rank(asked), 0, 3) == [2, 1, 0]
    # With 30 days item 0 weighs 3 * 2^-(1/3) = 2.4 and leads.
    assert top(Popularity(30 * DAY_S, seed=1).rank(asked), 0, 3) == [0, 2, 1]


def test_all_time_counts_users_and_not_events() -> None:
    train = dataset([(0, 0, 0), (0, 0, 1), (0, 0, 2), (1, 1, 0), (2, 1, 1)], item_count=2)
    asked = cases(train, {0: 10.0})
    assert top(Popularity(None, seed=1).rank(asked), 0, 2) == [1, 0]
    assert top(Popularity(180 * DAY_S, seed=1).rank(asked), 0, 2) == [0, 1]


def test_nothing_at_or_after_the_moment_of_asking_is_known() -> None:
    train = dataset([(0, 0, 1), (1, 1, 5), (2, 1, 5), (3, 1, 5)], item_count=2)
    for popularity in (Popularity(None, seed=1), Popularity(DAY_S, seed=1)):
        row_HR = popularity.rank(cases(train, {1: 4.0, 2: 5.0, 0: 5.1}))
        assert [top(row_HR, user, 1)[0] for user in range(3)] == [0, 0, 1]


def test_task_new_leaves_out_seen_items_and_fills_up_from_the_rest() -> None:
    train = dataset([(0, 0, 1), (1, 0, 1), (1, 1, 1), (2, 1, 1), (3, 2, 1), (2, 0, 1)], item_count=3)
    row_HR = Popularity(None, seed=1).rank(cases(train, {1: 2.0, 3: 2.0}, Task.NEW))
    assert top(row_HR, 0, 3) == [2, -1, -1]
    assert top(row_HR, 1, 3) == [0, 1, -1]


def test_ties_have_one_random_order_that_depends_on_the_seed_alone() -> None:
    train = dataset([(0, row, 1) for row in range(30)], item_count=30)
    row_HR = Popularity(None, seed=1).rank(cases(train, {0: 2.0}))
    order = top(row_HR, 0, 30)
    assert sorted(order) == list(range(30))
    assert order not in (sorted(order), sorted(order, reverse=True))
    assert order == top(Popularity(DAY_S, seed=1).rank(cases(train, {0: 3.0})), 0, 30)
    assert order != top(Popularity(None, seed=2).rank(cases(train, {0: 2.0})), 0, 30)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), half_life_days=st.sampled_from([0.5, 3.0, 90.0]))
def test_rankings_follow_the_definition(seed: int, half_life_days: float) -> None:
    rng = np.random.default_rng(seed)
    # The decays of different events differ, so that there are no ties but between items nobody had.
    day_E = rng.random(60) * 40
    events = [(int(rng.integers(8)), int(rng.integers(12)), float(day)) for day in day_E]
    train = dataset([*events, (7, 0, 41.0)], item_count=12)
    asking = {user: float(rng.random() * 45) for user in range(8)}
    row_HR = Popularity(half_life_days * DAY_S, seed=1).rank(cases(train, asking))
    for user, now in asking.items():
        weight_I = np.zeros(12)
        for _, row, day in [*events, (7, 0, 41.0)]:
            if day < now:
                weight_I[row] += 2.0 ** (-(now - day) / half_life_days)
        known = np.flatnonzero(weight_I)
        expected = known[np.argsort(-weight_I[known])]
        assert top(row_HR, user, len(known)) == [int(row) for row in expected]


@pytest.mark.parametrize(("target", "expected_days"), [(1, 1), (0, 90)])
def test_the_half_life_is_chosen_by_what_validation_users_take(target: int, expected_days: int) -> None:
    # Item 0 was taken by three users at day 0, item 1 by one at day 100. Item 0 leads where 3 * 2^(-100/h) > 1, that is
    # from h = 63 days on, and the shortest of the half-lives that do equally well is taken.
    train = dataset([(1, 0, 0.0), (2, 0, 0.0), (3, 0, 0.0), (4, 1, 100.0), (0, 2, 0.0)], item_count=3)
    validation = replace(cases(train, {0: 100.25}), targets=[np.array([target])])
    assert choose_half_life(validation, seed=1) == expected_days * DAY_S
