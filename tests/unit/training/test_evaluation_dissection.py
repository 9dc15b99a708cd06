"""What interests stand for, and single histories taken apart."""

from __future__ import annotations

import numpy as np
import pytest

from unbraid_core.catalogue import Catalogue
from unbraid_core.categories import Categories
from unbraid_core.decay import log_mass, log_share
from unbraid_core.types import FloatArray, History, Interests
from unbraid_training.evaluation.dissection import dissect
from unbraid_training.evaluation.interest_profile import profile_interests
from unbraid_training.evaluation.markdown import markdown_table

DAY_S = 86_400.0
NOW_S = 1.7e9
HALF_LIFE_S = np.array([DAY_S, 10 * DAY_S])
CATALOGUE = Catalogue.of([*"abcd"], ["Pan", "Pot", "", "Bell"], [["kitchen"], ["kitchen"], ["bicycle"], []])
MOST, REST = np.float32(0.9), np.float32(0.1)


def interests(rows: list[int], ages_days: list[float], owners: list[int]) -> Interests:
    """A user whose events belong to their owners by nine tenths."""
    assignment_KL: FloatArray = np.full((2, len(rows)), REST)
    assignment_KL[owners, np.arange(len(rows))] = MOST
    age_s_N = np.array(ages_days) * DAY_S
    history = History(np.array(rows), NOW_S - age_s_N, np.zeros(len(rows), np.int64))
    log_mass_K = log_mass(assignment_KL, age_s_N, HALF_LIFE_S)
    return Interests(history, np.eye(2, dtype=np.float32), assignment_KL, np.exp(log_mass_K), log_share(log_mass_K))


def test_a_history_falls_into_strands_with_the_strongest_first() -> None:
    taken = interests([2, 0, 1, 3], [30, 3, 2, 1], [1, 0, 0, 0])
    found = dissect("somebody", taken, NOW_S, HALF_LIFE_S, CATALOGUE)
    assert found.title() == "user somebody, 4 events, as of 2023-11-14 22:13 UTC"
    first, second = found.strands
    assert [first.index, second.index] == np.argsort(-taken.mass_K).tolist() == [0, 1]
    assert first.items == ["Bell", "Pot", "Pan"], "the newer, the heavier"
    assert second.items == ["c"], "an item without a title goes by its id"
    assert first.time_s == [NOW_S - 3 * DAY_S, NOW_S - 2 * DAY_S, NOW_S - DAY_S]
    assert first.share + second.share == pytest.approx(1.0)


def test_an_interest_without_an_event_is_no_strand() -> None:
    found = dissect("somebody", interests([0, 1], [2, 1], [1, 1]), NOW_S, HALF_LIFE_S, CATALOGUE)
    assert [strand.index for strand in found.strands] == [1]


def test_what_is_typical_of_an_interest_is_what_it_has_most_beyond_its_share() -> None:
    users = [interests([0, 1, 2], [3, 2, 1], [0, 0, 1]), interests([0, 3], [2, 1], [0, 1])]
    kitchen, bicycle = profile_interests(users, HALF_LIFE_S, CATALOGUE, Categories.of(CATALOGUE))
    assert kitchen.typical_items == ["Pan", "Pot"]
    assert bicycle.typical_items == ["c", "Bell"]
    assert (kitchen.typical_categories, bicycle.typical_categories) == (["kitchen"], ["bicycle"])
    assert (kitchen.half_life_days, bicycle.half_life_days) == (1.0, 10.0)
    assert (kitchen.user_share, bicycle.user_share) == (1.0, 1.0)
    assert kitchen.event_share == pytest.approx((3 * 0.9 + 2 * 0.1) / 5)
    assert kitchen.alive_share + bicycle.alive_share == pytest.approx(1.0)


def test_without_categories_none_is_typical() -> None:
    users = [interests([0, 1], [2, 1], [0, 1])]
    assert [each.typical_categories for each in profile_interests(users, HALF_LIFE_S, CATALOGUE, None)] == [[], []]


def test_a_bar_in_a_title_does_not_break_the_table() -> None:
    assert markdown_table([["#", "items"], ["0", "Mug | red"]]) == "| # | items |\n|---|---|\n| 0 | Mug \\| red |\n"
