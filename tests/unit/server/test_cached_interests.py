"""The cache of interests in a server: through changes of the catalogue and releases, and as large as it is set."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from unbraid_core.interest_cache import InterestCache
from unbraid_core.item_change import Item, ItemChange, ItemVector
from unbraid_core.release import open_release
from unbraid_core.types import History, Query
from unbraid_server.active_model import ActiveModel
from unbraid_server.device import Device
from unbraid_server.model import Model, load_model
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore

if TYPE_CHECKING:
    from numpy.random import Generator

NOW_S = 1_767_500_000.0
# More rows than a delta keeps of dead items.
MANY = 1_001


@pytest.fixture
def cached(release_v1: Path) -> Model:
    return load_model(open_release(release_v1), Device.CPU, InterestCache(10**6))


def upsert(model: Model, item_id: str, rng: Generator) -> ItemChange:
    vector_D = rng.normal(size=8)
    unit_D = (vector_D / np.linalg.norm(vector_D)).astype(np.float32)
    return ItemChange(item_id, Item(item_id), ItemVector(model.space_id, unit_D))


def changed(model: Model, *changes: ItemChange) -> Model:
    first = model.delta.sequence + 1
    return model.with_changes([replace(change, sequence=first + n) for n, change in enumerate(changes)])


def history(model: Model, *item_ids: str) -> History:
    times_s = [NOW_S - 3_600.0 * n for n in range(len(item_ids), 0, -1)]
    return model.history(item_ids, times_s, ["view"] * len(item_ids), None).history


def assert_as_without_cache(model: Model, *histories: History) -> None:
    """One by one, as a server is asked by one caller."""
    without = replace(model.pipeline, cache=None)
    for days in (0, 1, 400):
        for known in histories:
            query = Query(known, NOW_S + days * 86_400.0, limit=20)
            [one], [other] = model.pipeline.recommend([query]), without.recommend([query])
            assert one.row_R.tolist() == other.row_R.tolist()
            assert one.score_R.tolist() == other.score_R.tolist()
            assert one.interests is not None
            assert other.interests is not None
            assert one.interests.vectors_KD.tobytes() == other.interests.vectors_KD.tobytes()
            assert one.interests.assignment_KL.tobytes() == other.interests.assignment_KL.tobytes()


def test_answers_are_bit_equal_while_the_catalogue_changes(cached: Model) -> None:
    rng = np.random.default_rng(5)
    model = changed(cached, upsert(cached, "new", rng), upsert(cached, "k00", rng))
    mixed = ("k00", "new", "c05", "k03")
    assert_as_without_cache(model, history(model, *mixed))
    assert model.pipeline.cache is cached.pipeline.cache, "a row still stands for the same vector"
    model = changed(model, upsert(model, "new", rng), ItemChange("k03", None))
    assert_as_without_cache(model, history(model, *mixed), history(model, "new"))


def test_rows_that_get_other_numbers_are_not_taken_for_those_before(cached: Model) -> None:
    rng = np.random.default_rng(6)
    crowd = [f"n{n}" for n in range(MANY)]
    full = changed(cached, *(upsert(cached, item_id, rng) for item_id in crowd), upsert(cached, "last", rng))
    assert_as_without_cache(full, history(full, "n0", "k01"), history(full, "last", "k01"))
    model = changed(full, *(ItemChange(item_id, None) for item_id in crowd))
    assert history(model, "last").row_N.tolist() == history(full, "n0").row_N.tolist()
    assert_as_without_cache(model, history(model, "last", "k01"))
    assert_as_without_cache(full, history(full, "n0", "k01"))


def test_a_release_starts_with_an_empty_cache_and_takes_the_old_one_with_it_when_it_goes(
    release_v1: Path, cached: Model, unchanged: SqliteCatalogueStore
) -> None:
    active = ActiveModel(cached, unchanged)
    cached.pipeline.interests([Query(history(cached, "k00"), NOW_S, 1)])
    assert cached.pipeline.cache is not None
    old, before = weakref.ref(cached.pipeline.cache), cached.pipeline.cache.statistics()
    after = active.activate(open_release(release_v1)).pipeline.cache
    assert after is not None
    assert after is not old()
    assert after.statistics().miss_count > before.miss_count
    [known] = [history(active.current(), "k00")]
    misses = after.statistics().miss_count
    active.current().pipeline.interests([Query(known, NOW_S, 1)])
    assert after.statistics().miss_count == misses + 1
    assert_as_without_cache(active.current(), known)


def test_nothing_refers_to_the_cache_of_a_release_that_is_gone(
    release_v1: Path, unchanged: SqliteCatalogueStore
) -> None:
    active = ActiveModel(load_model(open_release(release_v1), Device.CPU, InterestCache(10**6)), unchanged)
    before = active.current()
    before.pipeline.interests([Query(history(before, "k00"), NOW_S, 1)])
    model, cache = weakref.ref(before), before.pipeline.cache
    assert cache is not None
    entries = weakref.ref(cache)
    del before, cache
    gc.collect()
    gc.disable()
    try:
        active.activate(open_release(release_v1))
        assert (model(), entries()) == (None, None)
    finally:
        gc.enable()


def test_a_cache_of_a_model_does_not_grow_beyond_its_size(release_v1: Path) -> None:
    cache = InterestCache(20_000)
    model = load_model(open_release(release_v1), Device.CPU, cache)
    rng = np.random.default_rng(7)
    for _ in range(100):
        row_N = rng.integers(0, 24, 4)
        known = History(row_N, NOW_S - np.arange(4.0)[::-1], np.zeros(4, np.int64))
        model.pipeline.interests([Query(known, NOW_S, 1)])
    assert 10_000 < cache.statistics().size_bytes <= 20_000
