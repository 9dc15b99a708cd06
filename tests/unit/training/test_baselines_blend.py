from __future__ import annotations

import math

import numpy as np
import pytest

from unbraid_core.catalogue import Catalogue
from unbraid_training.baselines.blend import Blend, Link, OwnTerm, Prior
from unbraid_training.baselines.panel import Panel
from unbraid_training.baselines.profile import Profile
from unbraid_training.data.dataset import Dataset
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.item_statistics import log_popularity

DAY_S = 86_400.0
EVERYBODY = slice(0, 2)
PLAIN = Profile(counted=False)


def panel(task: Task = Task.ALL, item_count: int = 4) -> Panel:
    """Users a and b ask at day 10: a had item 0 at days 2 and 4, b had items 1 and 2 at day 9."""
    train = Dataset.of(
        Catalogue.of([f"i{row}" for row in range(item_count)]),
        ["a", "b"],
        [""],
        np.array([0, 0, 1, 1]),
        np.array([0, 0, 1, 2]),
        np.array([2.0, 4.0, 9.0, 9.0]) * DAY_S,
        np.zeros(4, np.int64),
    )
    return Panel(Cases(task, train, np.arange(2), np.full(2, 10 * DAY_S), [np.array([3])] * 2, 0), seed=1)


def test_the_standard_link_is_the_z_score_of_each_user() -> None:
    score_BI = np.array([[1.0, 2.0, 3.0, 6.0], [-2.0, 0.0, 0.0, 2.0]])
    linked_BI = Link.STANDARD.of(score_BI)
    np.testing.assert_allclose(linked_BI[0], (score_BI[0] - 3.0) / math.sqrt(3.5))
    np.testing.assert_allclose(linked_BI.mean(axis=1), 0.0, atol=1e-12)
    np.testing.assert_allclose(linked_BI.std(axis=1), 1.0)


def test_the_log_link_does_not_depend_on_the_scale_and_flattens_what_is_not_positive() -> None:
    score_BI = np.array([[0.5, 0.25, 0.0, -3.0]])
    expected = [math.log(1.01), math.log(0.51), math.log(0.01), math.log(0.01)]
    np.testing.assert_allclose(Link.LOG.of(score_BI)[0], expected)
    np.testing.assert_allclose(Link.LOG.of(7.0 * score_BI)[0], expected)


@pytest.mark.parametrize("link", Link)
def test_users_whom_all_items_suit_equally_get_the_prior_alone(link: Link) -> None:
    for value in (0.0, -1.0):
        linked_BI = link.of(np.full((1, 4), value))
        assert np.isfinite(linked_BI).all()
        assert np.ptp(linked_BI) == 0.0


def test_own_counts_fade_and_add_up() -> None:
    blend = Blend(PLAIN, OwnTerm(weight=0.5, half_life_s=2 * DAY_S))
    base_BI = np.arange(8.0).reshape(2, 4)
    own_a, own_b = 2.0**-4 + 2.0**-3, 2.0**-0.5
    expected = base_BI + 0.5 * np.array([[own_a, 0, 0, 0], [0, own_b, own_b, 0]])
    np.testing.assert_allclose(blend.score(base_BI, panel(), EVERYBODY), expected)


@pytest.mark.parametrize("link", Link)
def test_the_prior_is_added_after_the_own_counts_were_linked(link: Link) -> None:
    asked, own = panel(), OwnTerm(weight=1.0, half_life_s=5 * DAY_S)
    base_BI = np.random.default_rng(0).random((2, 4))
    blend = Blend(PLAIN, own, Prior(link, weight=0.3, half_life_s=7 * DAY_S))
    expected = link.of(Blend(PLAIN, own).score(base_BI, asked, EVERYBODY)) + 0.3 * log_popularity(
        asked.train, 7 * DAY_S
    )
    np.testing.assert_allclose(blend.score(base_BI, asked, EVERYBODY), expected, rtol=1e-6)


def test_task_new_leaves_known_items_out_and_the_scores_alone() -> None:
    score_BI = np.array([[4.0, 3.0, 2.0, 1.0], [4.0, 3.0, 2.0, 1.0]])
    before = score_BI.copy()
    row_BR = panel(Task.NEW).best_rows(score_BI, EVERYBODY)
    assert row_BR[:, :4].tolist() == [[1, 2, 3, -1], [0, 3, -1, -1]]
    assert panel(Task.ALL).best_rows(score_BI, EVERYBODY)[:, :4].tolist() == [[0, 1, 2, 3]] * 2
    np.testing.assert_array_equal(score_BI, before)


def test_equal_items_come_in_one_random_order_for_all_users() -> None:
    row_BR = panel(item_count=40).best_rows(np.zeros((2, 40)), EVERYBODY)
    assert row_BR[0].tolist() == row_BR[1].tolist()
    assert sorted(row_BR[0, :40].tolist()) == list(range(40))
    assert row_BR[0, :40].tolist() not in (list(range(40)), list(range(39, -1, -1)))
