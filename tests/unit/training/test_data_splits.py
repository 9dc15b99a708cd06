from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import InvalidInput
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.holdout import Holdout
from unbraid_training.data.splits import Everything, LastEvents, Split, TimeWindow, parse_split

USERS, ITEMS = 4, 12


def dataset_of(events: list[tuple[int, int, int]]) -> Dataset:
    columns = np.array(events, dtype=float).reshape(-1, 3)
    return Dataset.of(
        Catalogue.of([f"i{row}" for row in range(ITEMS)]),
        [f"u{user}" for user in range(USERS)],
        [""],
        columns[:, 0].astype(np.int64),
        columns[:, 1].astype(np.int64),
        columns[:, 2],
        np.zeros(len(columns), np.int64),
    )


EVENTS = st.tuples(st.integers(0, USERS - 1), st.integers(0, ITEMS - 1), st.integers(0, 50))
DATASETS = st.lists(EVENTS, min_size=1, max_size=80).map(dataset_of)
SPLITS = st.one_of(
    st.integers(1, 6).map(LastEvents),
    st.integers(1, 50).map(TimeWindow),
    st.tuples(st.integers(1, 40), st.integers(1, 10)).map(lambda pair: TimeWindow(pair[0], pair[0] + pair[1])),
    st.just(Everything()),
)


def pairs(dataset: Dataset) -> list[tuple[int, str, float]]:
    """Events of a data set, in terms that do not depend on its row numbers."""
    item_ids = [dataset.catalogue.item_ids[row] for row in dataset.row_E]
    return list(zip(dataset.user_E.tolist(), item_ids, dataset.time_s_E.tolist(), strict=True))


def target_ids(holdout: Holdout) -> dict[int, set[str]]:
    return {
        user: {holdout.train.catalogue.item_ids[row] for row in holdout.targets(position)}
        for position, user in enumerate(holdout.user_H.tolist())
    }


def apply(split: Split, dataset: Dataset) -> Holdout | None:
    """The two parts, or None where a window leaves nothing to train on."""
    if isinstance(split, TimeWindow) and dataset.time_s_E.min() >= split.start_s:
        with pytest.raises(InvalidInput, match="leaves no event to train on; the data span 1970-01-01T"):
            split.apply(dataset)
        return None
    return split.apply(dataset)


@given(DATASETS, SPLITS)
def test_training_is_earlier_than_the_moment_and_targets_are_later(dataset: Dataset, split: Split) -> None:
    holdout = apply(split, dataset)
    if holdout is None:
        return
    for position, user in enumerate(holdout.user_H.tolist()):
        now_s = holdout.now_s_H[position]
        assert holdout.train.history(user).time_s_N.max() <= now_s
        later = {item for who, item, time_s in pairs(dataset) if who == user and time_s >= now_s}
        assert target_ids(holdout)[user] <= later


@given(DATASETS, SPLITS)
def test_only_users_with_five_training_items_and_a_target_are_evaluated(dataset: Dataset, split: Split) -> None:
    holdout = apply(split, dataset)
    if holdout is None:
        return
    assert len(holdout) == len(holdout.user_H) == len(holdout.now_s_H)
    assert (np.diff(holdout.user_H) > 0).all()
    for position, user in enumerate(holdout.user_H.tolist()):
        targets = holdout.targets(position)
        assert len(np.unique(holdout.train.history(user).row_N)) >= 5
        assert len(targets) > 0
        assert (np.diff(targets) > 0).all()
    assert set(holdout.train.catalogue.item_ids) == {item for _, item, _ in pairs(holdout.train)}


@given(DATASETS, st.integers(1, 6))
def test_the_last_events_of_users_with_enough_items_are_held_out_and_nothing_is_lost(
    dataset: Dataset, count: int
) -> None:
    holdout = LastEvents(count).apply(dataset)
    train = pairs(holdout.train)
    catalogue = set(holdout.train.catalogue.item_ids)
    for user in range(USERS):
        own = [event for event in pairs(dataset) if event[0] == user]
        before, last = own[:-count], own[-count:]
        enough = len({item for _, item, _ in before}) >= 5
        assert [event for event in train if event[0] == user] == (before if enough else own)
        targets = {item for _, item, _ in last} & catalogue if enough else set()
        assert target_ids(holdout).get(user, set()) == targets
        if targets:
            assert holdout.now_s_H[holdout.user_H.tolist().index(user)] == last[0][2]


@given(DATASETS, st.integers(1, 50), st.one_of(st.none(), st.integers(1, 20)))
def test_a_window_parts_by_time_alone(dataset: Dataset, start_s: int, length_s: int | None) -> None:
    split = TimeWindow(start_s) if length_s is None else TimeWindow(start_s, start_s + length_s)
    holdout = apply(split, dataset)
    if holdout is None:
        return
    assert pairs(holdout.train) == [event for event in pairs(dataset) if event[2] < start_s]
    held = {(user, item) for user, item, time_s in pairs(dataset) if start_s <= time_s < split.stop_s}
    catalogue = set(holdout.train.catalogue.item_ids)
    for user, targets in target_ids(holdout).items():
        assert targets == {item for who, item in held if who == user} & catalogue
    assert holdout.cold_count == sum(item not in catalogue for _, item in held)
    assert (holdout.now_s_H == start_s).all()


@given(DATASETS)
def test_all_holds_out_nothing(dataset: Dataset) -> None:
    holdout = Everything().apply(dataset)
    assert pairs(holdout.train) == pairs(dataset)
    assert len(holdout) == holdout.cold_count == len(holdout.target_row_T) == 0


@pytest.mark.parametrize(
    "text",
    ["last-10", "all", "before-2011-11-01", "before-2011-11-01-until-2011-12-10", "before-2011-11-01T12:30:00Z"],
)
def test_the_text_form_comes_back(text: str) -> None:
    assert str(parse_split(text)) == text


@given(SPLITS)
def test_every_split_has_a_text_form(split: Split) -> None:
    assert parse_split(str(split)) == split


def test_times_without_a_zone_are_utc() -> None:
    expected = TimeWindow(1_320_105_600, 1_320_109_200)
    assert parse_split("before-2011-11-01T00:00-until-2011-11-01T02:00:00+01:00") == expected
    assert str(expected) == "before-2011-11-01-until-2011-11-01T01:00:00Z"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "use last-10, before-2011-11-01, "),
        ("last", "'last' is unknown; use last-10"),
        ("last-0", "give a count of at least 1"),
        ("before-yesterday", "'yesterday' is no time; write 2011-11-01"),
        ("before-2011-02-29", "'2011-02-29' is no time"),
        ("before-2011-11-01-until-2011-11-01", "ends before it starts"),
    ],
)
def test_what_is_no_split_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        parse_split(text)
    assert caught.value.field == "split"


def test_validation_repeats_the_split_on_the_training_part() -> None:
    train = dataset_of([(0, 0, 100), (0, 1, 1100)])
    assert LastEvents(10).inner(train) == LastEvents(10)
    assert TimeWindow(2000, 2300).inner(train) == TimeWindow(1700, 2000)
    assert TimeWindow(2000).inner(train) == TimeWindow(1000, 2000)
    assert Everything().inner(train) == TimeWindow(1000)
