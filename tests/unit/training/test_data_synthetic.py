from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unbraid_core.errors import InvalidInput
from unbraid_training.data.folder import read_dataset, write_dataset
from unbraid_training.data.synthetic import SyntheticSpec, plant

SMALL = SyntheticSpec(user_count=60, item_count=80, events_per_user=30)


def test_the_same_seed_gives_the_same_data_and_another_seed_gives_others() -> None:
    first, again, other = plant(SMALL), plant(SMALL), plant(SyntheticSpec(60, 80, 4, 30, seed=1))
    assert first.dataset.sha256() == again.dataset.sha256()
    np.testing.assert_array_equal(first.cluster_of_item_I, again.cluster_of_item_I)
    assert first.dataset.sha256() != other.dataset.sha256()


def test_files_give_the_data_back(tmp_path: Path) -> None:
    planted = plant(SMALL)
    write_dataset(planted.dataset, tmp_path)
    dataset, report = read_dataset(tmp_path)
    assert dataset.sha256() == planted.dataset.sha256()
    assert dataset.catalogue.table.equals(planted.dataset.catalogue.table)
    assert [file.findings for file in report.files] == [(), ()]


def test_the_default_has_the_size_that_it_promises() -> None:
    planted = plant(SyntheticSpec())
    dataset = planted.dataset
    assert len(dataset.user_ids) == 600
    assert len(dataset.catalogue) == 400
    assert 38 < len(dataset) / 600 < 42
    assert np.bincount(planted.cluster_of_item_I).tolist() == [100] * 4
    assert len(planted.half_life_s_K) == 4


def test_titles_and_categories_name_the_cluster() -> None:
    planted = plant(SMALL)
    catalogue = planted.dataset.catalogue
    topics = [catalogue.categories(row) for row in range(len(catalogue))]
    assert all(catalogue.title(row).startswith(f"{topic} ") for row, (topic,) in enumerate(topics))
    assert len({(topic, cluster) for (topic,), cluster in zip(topics, planted.cluster_of_item_I, strict=True)}) == 4
    assert len({catalogue.title(row) for row in range(len(catalogue))}) == len(catalogue)


def test_users_mix_several_interests_and_stay_with_one_for_a_while() -> None:
    planted = plant(SyntheticSpec())
    dataset, interest_E = planted.dataset, planted.interest_E
    interest_counts = []
    for user in range(len(dataset.user_ids)):
        events = slice(dataset.offset_U1[user], dataset.offset_U1[user + 1])
        interest_counts.append(len(np.unique(interest_E[events])))
        assert (np.diff(dataset.time_s_E[events]) > 0).all()
    assert max(interest_counts) == 4
    assert np.mean(np.array(interest_counts) >= 2) > 0.85
    same_user_E = np.diff(dataset.user_E) == 0
    stays_E = (np.diff(interest_E) == 0)[same_user_E]
    assert 0.5 < stays_E.mean() < 0.95


def test_the_interest_of_an_event_is_drawn_from_the_live_mass() -> None:
    """Over many events, the chances that the formula gives to what happened add up to how often it did happen."""
    restlessness = 0.2
    planted = plant(SyntheticSpec(user_count=300, restlessness=restlessness))
    dataset = planted.dataset
    share_NK, happened_NK = [], []
    for user in range(300):
        history = dataset.history(user)
        interest_N = planted.cluster_of_item_I[history.row_N]
        for event in range(1, len(history)):
            age_s_N = history.time_s_N[event] - history.time_s_N[:event]
            alive_N = 2.0 ** (-age_s_N / planted.half_life_s_K[interest_N[:event]])
            mass_K = np.bincount(interest_N[:event], alive_N, 4)
            share_NK.append(mass_K / mass_K.sum())
            happened_NK.append(np.arange(4) == interest_N[event])
    share_N, happened_N = np.concatenate(share_NK), np.concatenate(happened_NK)
    for low, high in [(0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 0.95)]:
        inside_N = (share_N > low) & (share_N <= high)
        expected = (1 - restlessness) * share_N[inside_N].mean()
        # A user's mix has two to four clusters, so a restless event falls on one of them with a chance of 1/4 to 1/2.
        assert expected + restlessness / 4 - 0.03 < happened_N[inside_N].mean() < expected + restlessness / 2 + 0.03


def test_few_items_of_a_cluster_are_popular() -> None:
    planted = plant(SyntheticSpec())
    counts = np.sort(np.bincount(planted.dataset.row_E, minlength=400))[::-1]
    assert counts[:40].sum() > counts[-200:].sum()


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"cluster_count": 1}, "cluster_count"),
        ({"cluster_count": 99}, "cluster_count"),
        ({"item_count": 3}, "item_count"),
        ({"user_count": 0}, "user_count"),
        ({"events_per_user": 0}, "events_per_user"),
        ({"restlessness": 1.5}, "restlessness"),
    ],
)
def test_impossible_settings_are_refused(spec: dict[str, int], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        SyntheticSpec(**spec)
    assert field in caught.value.field


def test_small_worlds_repeat_their_items() -> None:
    planted = plant(SyntheticSpec(user_count=3, item_count=8, events_per_user=50))
    assert len(planted.dataset) > 100
