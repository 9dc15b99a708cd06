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


def test_users_mix_several_interests_and_no_session_mixes_two() -> None:
    planted = plant(SyntheticSpec())
    dataset, interest_E = planted.dataset, planted.interest_E
    interest_counts = []
    for user in range(len(dataset.user_ids)):
        events = slice(dataset.offset_U1[user], dataset.offset_U1[user + 1])
        interest_counts.append(len(np.unique(interest_E[events])))
        assert (np.diff(dataset.time_s_E[events]) > 0).all()
    assert max(interest_counts) == 4
    assert np.mean(np.array(interest_counts) >= 2) > 0.9
    same_user_E = np.diff(dataset.user_E) == 0
    stays_E = (np.diff(interest_E) == 0)[same_user_E]
    assert 0.5 < stays_E.mean() < 0.95


def test_interests_fade_slower_where_the_planted_half_life_is_longer() -> None:
    planted = plant(SyntheticSpec(user_count=1500, restlessness=1.0))
    dataset, interest_E = planted.dataset, planted.interest_E
    same_user_E = np.diff(dataset.user_E) == 0
    long_gap_E = same_user_E & (np.diff(dataset.time_s_E) > 3 * 86_400)
    returns = [
        np.mean(interest_E[1:][long_gap_E & (interest_E[:-1] == k)] == k)
        for k in (np.argmin(planted.half_life_s_K), np.argmax(planted.half_life_s_K))
    ]
    assert returns[0] < returns[1]


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
    ],
)
def test_impossible_sizes_are_refused(spec: dict[str, int], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        SyntheticSpec(**spec)
    assert field in caught.value.field


def test_small_worlds_repeat_their_items() -> None:
    planted = plant(SyntheticSpec(user_count=3, item_count=8, events_per_user=50))
    assert len(planted.dataset) > 100
