from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from unbraid_core.errors import InvalidInput
from unbraid_core.release import TrainingRecord
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.splits import parse_split
from unbraid_training.data.synthetic import SyntheticSpec, plant
from unbraid_training.evaluation.admission import admit


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return plant(SyntheticSpec(user_count=60, item_count=40)).dataset


def record(dataset: Dataset, split: str) -> TrainingRecord:
    """What a training on this split leaves in the manifest."""
    train = parse_split(split).apply(dataset).train
    return TrainingRecord(
        split=split,
        seed=1,
        event_count=len(train),
        user_count=len(train.user_ids),
        last_event_time=datetime.fromtimestamp(float(train.time_s_E.max()), UTC),
        data_sha256=train.sha256(),
        validation={},
    )


@pytest.mark.parametrize("given", [None, "last-5"])
def test_the_split_of_the_training_is_the_default(dataset: Dataset, given: str | None) -> None:
    split, holdout = admit(record(dataset, "last-5"), dataset, given)
    assert str(split) == "last-5"
    assert holdout.train.sha256() == record(dataset, "last-5").data_sha256
    assert len(holdout) > 50


def test_a_split_whose_events_the_release_has_seen_is_refused(dataset: Dataset) -> None:
    with pytest.raises(InvalidInput, match=r"split: last-3 holds out events from 2024-.* trained with last-5"):
        admit(record(dataset, "last-5"), dataset, "last-3")
    with pytest.raises(InvalidInput, match="split: before-2024-03-01 holds out events from 2024-03-01 00:00:00 on"):
        admit(record(dataset, "before-2024-05-01"), dataset, "before-2024-03-01")


def test_a_later_window_than_that_of_the_training_is_allowed(dataset: Dataset) -> None:
    split, holdout = admit(record(dataset, "before-2024-03-01"), dataset, "before-2024-04-01-until-2024-06-01")
    assert str(split) == "before-2024-04-01-until-2024-06-01"
    assert holdout.train.time_s_E.max() > parse_split("before-2024-03-01").apply(dataset).train.time_s_E.max()


def test_other_data_than_those_of_the_training_are_refused(dataset: Dataset) -> None:
    changed = replace(dataset, time_s_E=dataset.time_s_E + 1.0)
    with pytest.raises(InvalidInput, match="data: its training part has sha256"):
        admit(record(dataset, "last-5"), changed, None)


def test_held_out_events_may_change_without_a_complaint(dataset: Dataset) -> None:
    """Only the training part is compared: a later month of data does not make a release unfit for judgement."""
    until_may = dataset.select(dataset.time_s_E < datetime(2024, 5, 1, tzinfo=UTC).timestamp())
    split, holdout = admit(record(until_may, "before-2024-04-01"), dataset, None)
    assert str(split) == "before-2024-04-01"
    assert len(holdout) > 0
