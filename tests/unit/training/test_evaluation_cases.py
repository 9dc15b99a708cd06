from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import InvalidInput
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.holdout import Holdout
from unbraid_training.data.splits import parse_split
from unbraid_training.evaluation.cases import Cases, Task

ITEMS = Catalogue.of([f"i{row}" for row in range(8)])


def holdout(later: dict[str, list[int]]) -> Holdout:
    """Users a and b have items 0 to 4 in 2023, b also item 5; what follows comes in 2024."""
    users = ["a", "b"]
    events = [(0, row, 1_680_000_000 + row) for row in range(5)] + [(1, row, 1_680_000_000 + row) for row in range(6)]
    for user, rows in later.items():
        events += [(users.index(user), row, 1_710_000_000 + n) for n, row in enumerate(rows)]
    user_E, row_E, time_s_E = (np.array(column) for column in zip(*events, strict=True))
    data = Dataset.of(ITEMS, users, [""], user_E, row_E, time_s_E.astype(float), np.zeros(len(events), np.int64))
    return parse_split("before-2024-01-01").apply(data)


def wanted(cases: Cases) -> dict[str, list[str]]:
    return {
        cases.user_id(position): [cases.catalogue.item_ids[row] for row in target_T]
        for position, target_T in enumerate(cases.targets)
    }


def test_task_all_counts_known_items_and_task_new_does_not() -> None:
    held = holdout({"a": [5, 0, 5, 1], "b": [0]})
    assert wanted(Cases.of(held, Task.ALL)) == {"a": ["i0", "i1", "i5"], "b": ["i0"]}
    assert wanted(Cases.of(held, Task.NEW)) == {"a": ["i5"]}


def test_items_without_a_training_event_are_counted_and_no_targets() -> None:
    cases = Cases.of(holdout({"a": [5, 7, 7], "b": [6, 0]}), Task.ALL)
    assert wanted(cases) == {"a": ["i5"], "b": ["i0"]}
    assert cases.outside_count == 2
    assert cases.target_count == 2


def test_another_catalogue_is_joined_by_item_id() -> None:
    other = Catalogue.of(["i5", "x", "i2", "i0"])
    cases = Cases.of(holdout({"a": [5, 3], "b": [0, 4]}), Task.ALL, other)
    assert wanted(cases) == {"a": ["i5"], "b": ["i0"]}
    assert cases.outside_count == 2
    assert [other.item_ids[row] for row in cases.history(0).row_N] == ["i0", "i2"]
    assert [other.item_ids[row] for row in cases.history(1).row_N] == ["i0", "i2", "i5"]
    assert cases.history(1).time_s_N.tolist() == [1_680_000_000, 1_680_000_002, 1_680_000_005]


def test_another_action_vocabulary_is_joined_by_name() -> None:
    held = holdout({"a": [5]})
    renamed = replace(
        held, train=replace(held.train, actions=["", "view", "buy"], action_E=np.arange(11, dtype=np.int32) % 3)
    )
    cases = Cases.of(renamed, Task.ALL, actions=["", "buy", "rent"])
    assert cases.history(0).action_N.tolist() == [0, 0, 1, 0, 0]


def test_no_target_at_all_is_refused() -> None:
    with pytest.raises(InvalidInput, match="split: no user has a target of task new"):
        Cases.of(holdout({"a": [0, 1]}), Task.NEW)


def test_a_sample_is_repeatable_and_keeps_users_and_targets_together() -> None:
    cases = Cases.of(holdout({"a": [5], "b": [0, 1]}), Task.ALL)
    samples = {seed: wanted(cases.sample(1, seed)) for seed in range(20)}
    assert {tuple(sample) for sample in samples.values()} == {("a",), ("b",)}
    for seed, sample in samples.items():
        assert sample.items() <= wanted(cases).items()
        assert wanted(cases.sample(1, seed)) == sample
    assert wanted(cases.sample(10, 0)) == wanted(cases)
