"""The popularity of the day inside the loss, against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import unbraid_training.popularity_timeline as timeline_module
from unbraid_core.catalogue import Catalogue
from unbraid_training.config import DAY_S, PopularityTerm
from unbraid_training.data.dataset import Dataset
from unbraid_training.item_statistics import log_shares
from unbraid_training.popularity_timeline import PopularityTimeline

ITEMS, EVENTS = 7, 300


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Events of 40 days by one user, at whole hours."""
    rng = np.random.default_rng(5)
    time_s_E = np.sort(rng.integers(0, 40 * 24, EVENTS)) * np.float64(3600.0) + 1e9
    return Dataset.of(
        catalogue=Catalogue.of([str(row) for row in range(ITEMS)]),
        user_ids=["someone"],
        actions=[""],
        user_E=np.zeros(EVENTS, np.int64),
        row_E=rng.integers(0, ITEMS, EVENTS),
        time_s_E=time_s_E.astype(np.float64),
        action_E=np.zeros(EVENTS, np.int64),
    )


def test_popularity_is_that_of_the_events_before_the_day(dataset: Dataset) -> None:
    terms = (PopularityTerm(half_life_s=2 * DAY_S, weight=0.7), PopularityTerm(half_life_s=30 * DAY_S, weight=0.3))
    first_s = dataset.time_s_E[0]
    day = 17
    expected_I = np.zeros(ITEMS)
    for term in terms:
        count_I = np.zeros(ITEMS)
        for row, time_s in zip(dataset.row_E, dataset.time_s_E, strict=True):
            event_day = int((time_s - first_s) // DAY_S)
            if event_day < day:
                count_I[row] += 2.0 ** (-(day - 1 - event_day) * DAY_S / term.half_life_s)
        expected_I += term.weight * log_shares(count_I)
    found_BI = PopularityTimeline(dataset, terms).at(torch.tensor([first_s + (day + 0.4) * DAY_S], dtype=torch.float64))
    np.testing.assert_allclose(found_BI[0], expected_I, rtol=1e-3)


def test_on_the_first_day_nothing_is_known(dataset: Dataset) -> None:
    timeline = PopularityTimeline(dataset, (PopularityTerm(half_life_s=DAY_S, weight=1.0),))
    found_BI = timeline.at(torch.tensor([dataset.time_s_E[0]], dtype=torch.float64))
    np.testing.assert_allclose(found_BI[0], np.full(ITEMS, -np.log(ITEMS)), rtol=1e-5)


def test_no_later_event_changes_what_was_known(dataset: Dataset) -> None:
    terms = (PopularityTerm(half_life_s=5 * DAY_S, weight=1.0),)
    moments = torch.from_numpy(dataset.time_s_E[dataset.time_s_E < dataset.time_s_E[0] + 20 * DAY_S])
    early = dataset.select(dataset.time_s_E < dataset.time_s_E[0] + 25 * DAY_S)
    whole_BI, early_BI = (PopularityTimeline(each, terms).at(moments) for each in (dataset, early))
    assert torch.equal(whole_BI, early_BI)


def test_with_many_items_the_steps_grow_and_still_see_no_future(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline_module, "LARGEST_TABLE_BYTES", 4 * ITEMS * 3)
    timeline = PopularityTimeline(dataset, (PopularityTerm(half_life_s=5 * DAY_S, weight=1.0),))
    at_BI = timeline.at(torch.from_numpy(dataset.time_s_E))
    assert len(torch.unique(at_BI, dim=0)) == 4
    np.testing.assert_allclose(at_BI[0], np.full(ITEMS, -np.log(ITEMS)), rtol=1e-5)
