"""The cache of interests: it changes no answer, whatever time, histories and catalogue do, and keeps to its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid_core.interest_cache import ENTRY_BYTES, EncodedHistory, InterestCache
from unbraid_core.ports import Encoder
from unbraid_core.types import History, HistoryBatch, InterestBatch, Ranking

if TYPE_CHECKING:
    from tests.unit.core.conftest import MakeWorld

NOW_S = 1.7e9
ROOMY_BYTES = 10**6
ENTRY_SIZE_BYTES = ENTRY_BYTES + 4 * (2 * 3 + 2 * 1)


class Watched:
    """An encoder that writes down how many histories it was asked for."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.sizes: list[int] = []

    def encode(self, batch: HistoryBatch) -> InterestBatch:
        self.sizes.append(len(batch.mask_BL))
        return self._encoder.encode(batch)


def assert_bit_equal(one: Ranking, other: Ranking) -> None:
    for name in ("row_R", "score_R", "interest_R", "source_R"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.interests is None) is (other.interests is None)
    if one.interests is not None and other.interests is not None:
        for name in ("vectors_KD", "assignment_KL", "mass_K", "log_share_K"):
            np.testing.assert_array_equal(getattr(one.interests, name), getattr(other.interests, name))


def longer(rng: np.random.Generator, history: History, item_count: int, now_s: float) -> History:
    """The history with one more event; now and then one that was known before its time."""
    time_s = float(now_s - rng.integers(-60, 3600))
    at = int(np.searchsorted(history.time_s_N, time_s, side="right"))
    return History(
        np.insert(history.row_N, at, rng.integers(0, item_count)),
        np.insert(history.time_s_N, at, time_s),
        np.insert(history.action_N, at, rng.integers(0, 3)),
    )


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), capacity_bytes=st.sampled_from([0, 2_000, 4_000, ROOMY_BYTES]))
def test_answers_are_bit_equal_while_time_passes_and_histories_grow(
    make_world: MakeWorld, seed: int, capacity_bytes: int
) -> None:
    pipeline, queries = make_world(seed, 4)
    cached = replace(pipeline, cache=InterestCache(capacity_bytes))
    rng = np.random.default_rng(seed)
    now_s = NOW_S
    for _ in range(6):
        now_s += float(rng.choice([0.0, 0.25, 60.0, 86_400.0, 1e7]))
        u = int(rng.integers(len(queries)))
        item_count = len(pipeline.item_vectors_ID)
        queries[u] = replace(queries[u], history=longer(rng, queries[u].history, item_count, now_s))
        asked = [replace(queries[u], now_s=now_s) for u in rng.integers(0, len(queries), rng.integers(1, 6))]
        for one, other in zip(cached.recommend(asked), pipeline.recommend(asked), strict=True):
            assert_bit_equal(one, other)


def test_a_known_history_is_not_encoded_again_however_much_later(make_world: MakeWorld) -> None:
    pipeline, queries = make_world(7, 12)
    queries = [query for query in queries if len(query.history)]
    watched, cache = Watched(pipeline.encoder), InterestCache(ROOMY_BYTES)
    cached = replace(pipeline, encoder=watched, cache=cache)
    cached.recommend(queries[:-1])
    cached.interests([replace(query, now_s=NOW_S + 1e6) for query in queries])
    assert watched.sizes == [len(queries) - 1, 1]
    statistics = cache.statistics()
    assert (statistics.hit_count, statistics.miss_count) == (len(queries) - 1, len(queries))


def one_event(row: int, *, time_s: float = NOW_S, action: int = 0) -> History:
    return History(np.array([row]), np.array([time_s]), np.array([action]))


def made_of_rows(histories: Sequence[History]) -> list[EncodedHistory]:
    """K = 2, D = 3."""
    return [
        EncodedHistory(np.full((2, 3), history.row_N[0], np.float32), np.ones((2, len(history)), np.float32))
        for history in histories
    ]


def is_known(cache: InterestCache, history: History) -> bool:
    before = cache.statistics().hit_count
    cache.encoded([history], made_of_rows)
    return cache.statistics().hit_count > before


TWO = History(np.array([1, 2]), np.array([0.0, 60.0]), np.array([0, 0]))


@pytest.mark.parametrize(
    ("other", "known"),
    [
        (replace(TWO, time_s_N=TWO.time_s_N + 1e6), True),
        (replace(TWO, row_N=np.array([2, 1])), False),
        (replace(TWO, action_N=np.array([0, 1])), False),
        (replace(TWO, time_s_N=np.array([0.0, 60.5])), False),
        (History(np.array([1]), np.array([60.0]), np.array([0])), False),
    ],
)
def test_a_history_is_what_the_encoder_sees_of_it(other: History, known: bool) -> None:
    cache = InterestCache(ROOMY_BYTES)
    cache.encoded([TWO], made_of_rows)
    assert is_known(cache, other) is known


def test_what_was_not_asked_for_longest_leaves_first() -> None:
    cache = InterestCache(3 * ENTRY_SIZE_BYTES)
    for row in (0, 1, 2, 0, 3):
        cache.encoded([one_event(row)], made_of_rows)
    statistics = cache.statistics()
    assert (statistics.entry_count, statistics.size_bytes) == (3, 3 * ENTRY_SIZE_BYTES)
    assert [is_known(cache, one_event(row)) for row in (0, 2, 3)] == [True] * 3
    assert not is_known(cache, one_event(1))


def test_an_entry_larger_than_the_cache_is_not_kept() -> None:
    cache = InterestCache(ENTRY_SIZE_BYTES - 1)
    [found] = cache.encoded([one_event(5)], made_of_rows)
    assert found.vectors_KD.tolist() == [[5.0] * 3] * 2
    assert (cache.statistics().entry_count, cache.statistics().size_bytes) == (0, 0)


def test_a_successor_is_empty_and_goes_on_counting() -> None:
    first = InterestCache(ROOMY_BYTES)
    first.encoded([one_event(1)], made_of_rows)
    second = first.successor()
    assert not is_known(second, one_event(1))
    assert is_known(second, one_event(1))
    assert is_known(first, one_event(1))
    for cache in (first, second):
        assert (cache.statistics().hit_count, cache.statistics().miss_count) == (2, 2)
        assert cache.statistics().entry_count == 1


def test_entries_do_not_keep_the_batch_alive_that_they_were_encoded_in() -> None:
    batch_BKD = np.zeros((100, 2, 3), np.float32)
    cache = InterestCache(ROOMY_BYTES)
    first, again = (
        cache.encoded([one_event(1)], lambda _: [EncodedHistory(batch_BKD[0], np.ones((2, 1), np.float32))])[0]
        for _ in range(2)
    )
    assert first.vectors_KD is again.vectors_KD
    assert first.vectors_KD.base is None
