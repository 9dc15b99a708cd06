"""Sequences, their targets, and the networks that learn from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid_core.catalogue import Catalogue
from unbraid_core.types import DoubleArray, History
from unbraid_training.baselines.sequence_network import SequenceNetwork, Trunk
from unbraid_training.baselines.sequences import NO_ITEM, LatestItems, SequenceExamples, Target
from unbraid_training.data.dataset import Dataset

RING = 12  # items 0 to 11; whoever has item i takes item i + 1 next, and 0 after 11
NO_TIME: DoubleArray = np.empty(0)


def numbered(moments: list[list[int]]) -> Dataset:
    """Users whose n-th event has item n, of all users together; a number is how many events share a moment."""
    sizes = [sum(of_user) for of_user in moments]
    user_E = np.repeat(np.arange(len(moments)), sizes)
    time_s_E = np.concatenate([np.repeat(np.arange(len(of_user)), of_user) for of_user in moments]).astype(np.float64)
    items = Catalogue.of([f"i{row}" for row in range(len(user_E))])
    users = [f"u{user}" for user in range(len(moments))]
    zero_E = np.zeros(len(user_E), np.int64)
    return Dataset.of(items, users, [""], user_E, np.arange(len(user_E)), time_s_E, zero_E)


def ring(user_count: int = 12, length: int = 14) -> Dataset:
    """Users who go around the ring from somewhere, an item a day."""
    row_UL = (np.arange(user_count)[:, None] * 5 + np.arange(length)) % RING
    user_E = np.repeat(np.arange(user_count), length)
    time_s_E = np.tile(np.arange(length) * 86_400.0, user_count)
    items = Catalogue.of([f"i{row}" for row in range(RING)])
    users = [f"u{user}" for user in range(user_count)]
    return Dataset.of(items, users, [""], user_E, row_UL.ravel(), time_s_E, np.zeros(len(user_E), np.int64))


def sequence(*rows: int) -> History:
    return History(np.array(rows, np.int64), np.arange(len(rows), dtype=np.float64), np.zeros(len(rows), np.int64))


@settings(max_examples=60)
@given(
    moments=st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=6), min_size=1, max_size=5),
    length=st.integers(1, 7),
    target=st.sampled_from(Target),
    seed=st.integers(0, 2**32 - 1),
)
def test_an_epoch_has_every_event_once_in_its_order_and_targets_that_come_after_it(
    moments: list[list[int]], length: int, target: Target, seed: int
) -> None:
    train = numbered(moments)
    seen = []
    for row_BL, target_BLT in SequenceExamples(train, length, target).epoch(np.random.default_rng(seed), 3):
        assert row_BL.shape == target_BLT.shape[:2]
        assert len(row_BL) <= 3
        for row_L, target_LT in zip(row_BL, target_BLT, strict=True):
            size = int((row_L != NO_ITEM).sum())
            assert 1 <= size <= length
            assert row_L[:size].tolist() == list(range(row_L[0], row_L[0] + size))
            assert (target_LT[size:] == NO_ITEM).all()
            assert len(set(train.user_E[row_L[:size]].tolist())) == 1
            seen += row_L[:size].tolist()
            for row, target_T in zip(row_L[:size].tolist(), target_LT[:size], strict=True):
                check_targets(train, row, set(target_T.tolist()), target)
    assert sorted(seen) == list(range(len(train)))


def check_targets(train: Dataset, event: int, targets: set[int], target: Target) -> None:
    """In a numbered data set an event is its item."""
    own = [other for other in range(len(train)) if train.user_E[other] == train.user_E[event]]
    if target is Target.NEXT:
        assert targets == ({event + 1} if event + 1 in own else {NO_ITEM})
        return
    later = {other for other in own if train.time_s_E[other] > train.time_s_E[event]}
    last_of_moment = event + 1 not in own or event + 1 in later
    assert targets <= (later if later and last_of_moment else {NO_ITEM})


def test_later_items_are_drawn_from_all_later_moments() -> None:
    examples = SequenceExamples(numbered([[1, 2, 3]]), 10, Target.LATER)
    rng = np.random.default_rng(0)
    batches = [batch for _ in range(20) for batch in examples.epoch(rng, 5)]
    assert {row for row_BL, target_BLT in batches for row in target_BLT[row_BL == 0].ravel()} == {1, 2, 3, 4, 5}


def test_a_sequence_ends_with_the_newest_items() -> None:
    row_BL = LatestItems(3).of([sequence(4, 5), sequence(1, 2, 3, 4), History.empty()], NO_TIME, 9)
    assert row_BL.tolist() == [[4, 5, -1], [2, 3, 4], [-1, -1, -1]]


@pytest.mark.parametrize("trunk", Trunk)
def test_a_network_finds_out_what_comes_next(trunk: Trunk) -> None:
    fitted = SequenceNetwork(trunk, Target.NEXT, dropout=0.0, seed=1, epochs=40).fit(ring())
    histories = [sequence(row, (row + 1) % RING) for row in range(RING)]
    score_BI = fitted.score(LatestItems(50).of(histories, NO_TIME, RING))
    assert score_BI.argmax(axis=1).tolist() == [(row + 2) % RING for row in range(RING)]


@pytest.mark.parametrize("trunk", Trunk)
def test_a_network_scores_every_user_alone_and_even_one_without_history(trunk: Trunk) -> None:
    fitted = SequenceNetwork(trunk, Target.LATER, dropout=0.5, seed=1, epochs=1).fit(ring())
    histories = [sequence(1, 2, 3), sequence(7), History.empty()]
    together = fitted.score(LatestItems(50).of(histories, NO_TIME, RING))
    assert together.dtype == np.float64
    assert np.isfinite(together).all()
    for history, score_I in zip(histories, together, strict=True):
        alone_BI = fitted.score(LatestItems(4).of([history], NO_TIME, RING))
        np.testing.assert_allclose(alone_BI[0], score_I, atol=1e-4)


@pytest.mark.parametrize("trunk", Trunk)
def test_stopping_after_a_stage_is_training_for_as_long(trunk: Trunk) -> None:
    train, view = ring(), LatestItems(50).of([sequence(1, 2, 3)], NO_TIME, RING)
    network = SequenceNetwork(trunk, Target.NEXT, dropout=0.5, seed=3, epochs=3)
    scores = {}
    for settings_so_far, fitted in network.stages(train):
        scores[settings_so_far] = fitted.score(view)
        torch.rand(5)  # what others draw in between does not matter
    assert [settings_so_far.epochs for settings_so_far in scores] == [1, 2, 3]
    for settings_so_far, score_BI in scores.items():
        np.testing.assert_array_equal(settings_so_far.fit(train).score(view), score_BI)
