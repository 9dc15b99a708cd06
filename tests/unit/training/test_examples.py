"""Training examples against the data set that they were drawn from, event by event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid_core.catalogue import Catalogue
from unbraid_training.config import TrainConfig
from unbraid_training.data.dataset import Dataset
from unbraid_training.examples import Examples, TrainBatch

START_S = 1.6e9
quick = settings(max_examples=60)
seeds = st.integers(0, 2**32 - 1)


def draw(seed: int) -> Dataset:
    """Few users with up to 20 events each, often several in the same second; every event has a row of its own."""
    rng = np.random.default_rng(seed)
    length_U = rng.integers(0, 21, rng.integers(1, 6))
    event_count = int(length_U.sum())
    user_E = np.repeat(np.arange(len(length_U)), length_U)
    time_s_E = START_S + np.floor(rng.uniform(0, rng.choice([5.0, 100.0, 1e7]), event_count))
    return Dataset.of(
        Catalogue.of([f"i{row}" for row in range(event_count)]),
        [f"u{user}" for user in range(len(length_U))],
        ["", "view", "buy"],
        user_E,
        np.arange(event_count),
        time_s_E,
        rng.integers(0, 3, event_count),
    )


def settings_of(seed: int) -> TrainConfig:
    rng = np.random.default_rng([seed, 1])
    return TrainConfig(
        max_history=int(rng.integers(1, 8)),
        target_count=int(rng.integers(1, 6)),
        batch_size=int(rng.integers(1, 9)),
        target_horizon_s=float(rng.choice([1.0, 50.0, 1e6])),
    )


def one_by_one(dataset: Dataset, batches: Iterator[TrainBatch]) -> Iterator[tuple[list[int], list[int], TrainBatch]]:
    """For every example: the events of its history and of its targets, by number in the data set."""
    event_of_row = {int(row): event for event, row in enumerate(dataset.row_E)}
    for batch in batches:
        for b in range(len(batch.row_BL)):
            example = TrainBatch(
                batch.row_BL[b],
                batch.age_s_BL[b],
                batch.action_BL[b],
                batch.mask_BL[b],
                batch.newest_s_B[b],
                type(batch.targets)(batch.targets.row_BT[b], batch.targets.age_s_BTL[b], batch.targets.mask_BT[b]),
            )
            history = [event_of_row[row] for row in example.row_BL[example.mask_BL].tolist()]
            targets = [event_of_row[row] for row in example.targets.row_BT[example.targets.mask_BT].tolist()]
            yield history, targets, example


@quick
@given(seed=seeds)
def test_histories_are_the_newest_events_before_the_cut_and_targets_later(seed: int) -> None:
    dataset, config = draw(seed), settings_of(seed)
    user_E, time_s_E = dataset.user_E, dataset.time_s_E
    for history, targets, _ in one_by_one(dataset, Examples(dataset, config).epoch(np.random.default_rng(seed))):
        cut = history[-1] + 1
        begin = max(int(dataset.offset_U1[user_E[history[0]]]), cut - config.max_history)
        assert history == list(range(begin, cut))
        assert targets[0] == cut, "the very next event is always a target"
        assert {int(user_E[event]) for event in history + targets} == {int(user_E[cut])}
        newest_s = time_s_E[history].max()
        assert time_s_E[targets].min() > newest_s, "no second is cut in two"
        assert (time_s_E[targets[1:]] <= newest_s + config.target_horizon_s).all()
        assert 1 <= len(targets) <= config.target_count


@quick
@given(seed=seeds)
def test_ages_actions_and_padding(seed: int) -> None:
    dataset, config = draw(seed), settings_of(seed)
    time_s_E = dataset.time_s_E
    for history, targets, example in one_by_one(dataset, Examples(dataset, config).epoch(np.random.default_rng(seed))):
        count = len(history)
        assert example.mask_BL.tolist() == [True] * count + [False] * (len(example.mask_BL) - count)
        assert example.action_BL[:count].tolist() == dataset.action_E[history].tolist()
        np.testing.assert_array_equal(example.age_s_BL[:count], (time_s_E[history[-1]] - time_s_E[history]))
        assert not example.age_s_BL[count:].any()
        for t, target in enumerate(targets):
            np.testing.assert_array_equal(example.targets.age_s_BTL[t, :count], time_s_E[target] - time_s_E[history])


@quick
@given(seed=seeds)
def test_an_epoch_cuts_nowhere_twice_and_covers_every_place_if_it_can(seed: int) -> None:
    dataset, config = draw(seed), settings_of(seed)
    examples = Examples(dataset, config)
    batches = list(examples.epoch(np.random.default_rng(seed)))
    cuts = Counter(history[-1] + 1 for history, _, _ in one_by_one(dataset, iter(batches)))
    places = {
        event
        for event in range(1, len(dataset))
        if dataset.user_E[event] == dataset.user_E[event - 1] and dataset.time_s_E[event] > dataset.time_s_E[event - 1]
    }
    assert examples.cut_count == len(places)
    assert set(cuts) <= places
    assert set(cuts.values()) <= {1}
    assert len(batches) == examples.batch_count
    wanted = max(config.batch_size, 2 * len(dataset) // config.target_count)
    assert len(cuts) == min(wanted, len(places))
    assert all(len(batch.row_BL) == config.batch_size for batch in batches[:-1])


def tensors(batch: TrainBatch) -> list[torch.Tensor]:
    targets = batch.targets
    inputs = [batch.row_BL, batch.age_s_BL, batch.action_BL, batch.mask_BL]
    return [*inputs, targets.row_BT, targets.age_s_BTL, targets.mask_BT]


@quick
@given(seed=seeds)
def test_the_same_generator_state_gives_the_same_epoch(seed: int) -> None:
    dataset, config = draw(seed), settings_of(seed)
    examples = Examples(dataset, config)
    first, again = (list(examples.epoch(np.random.default_rng(seed))) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))


def test_another_state_gives_another_epoch() -> None:
    dataset = draw(1)
    examples = Examples(dataset, TrainConfig(batch_size=4))
    epochs = [next(examples.epoch(np.random.default_rng(seed))).row_BL.tolist() for seed in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]


def test_targets_are_drawn_from_the_whole_horizon() -> None:
    """One user with an event a second: after the first cut there are ten within the horizon."""
    event_count = 30
    dataset = Dataset.of(
        Catalogue.of([f"i{row}" for row in range(event_count)]),
        ["u"],
        [""],
        np.zeros(event_count, np.int64),
        np.arange(event_count),
        START_S + np.arange(event_count, dtype=np.float64),
        np.zeros(event_count, np.int64),
    )
    examples = Examples(dataset, TrainConfig(target_count=3, target_horizon_s=10.0, batch_size=64))
    drawn: Counter[int] = Counter()
    for seed in range(100):
        for history, targets, _ in one_by_one(dataset, examples.epoch(np.random.default_rng(seed))):
            if len(history) == 1:
                drawn.update(targets[1:])
    assert set(drawn) == set(range(1, 11))
    assert max(drawn.values()) < 4 * min(drawn.values())
