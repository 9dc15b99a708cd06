"""Replacing the model that answers, while calls use the one before."""

from __future__ import annotations

import gc
import shutil
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import IncompatibleError
from unbraid_core.item_change import ItemChange
from unbraid_core.release import Release, ReleaseStore, Staging, open_release, publish_release
from unbraid_core.release.layout import CATALOGUE
from unbraid_core.types import Query
from unbraid_server.active_model import ActiveModel
from unbraid_server.batcher import Batcher
from unbraid_server.device import Device
from unbraid_server.model import Model, load_model
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore

FIRST, SECOND = (datetime(2026, 3, day, tzinfo=UTC) for day in (1, 2))


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(tmp_path / "releases")


def publish(store: ReleaseStore, source: Release, created_time: datetime, **contents: bytes) -> Release:
    """The release again, with other contents in some of its files."""
    with Staging(store.root) as staging:
        for name, content in contents.items():
            (staging.folder / f"{name}.onnx").write_bytes(content)
        titled = Catalogue.of(source.catalogue.item_ids, [f"item of {created_time:%d}"] * len(source.catalogue))
        titled.write(staging.folder / CATALOGUE)
        published = publish_release(
            staging, source, index=source.manifest.index, parent=None, created_time=created_time
        )
    return store.open(published.release_id)


def is_mapped(folder: Path) -> bool:
    return str(folder) in Path("/proc/self/maps").read_text()


@dataclass(frozen=True)
class Somebody:
    """A caller who waits as long as it takes."""

    def is_active(self) -> bool:
        return True

    def time_remaining(self) -> float | None:
        return None


@pytest.fixture
def without_collections() -> Iterator[None]:
    """Objects go when nobody refers to them; a collection of garbage can be long in coming."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_collections")
def test_a_replaced_model_lives_as_long_as_a_call_uses_it(
    store: ReleaseStore, release_v1: Path, unchanged: SqliteCatalogueStore
) -> None:
    first, second = (publish(store, open_release(release_v1), time) for time in (FIRST, SECOND))
    folder = first.folder
    active = ActiveModel(load_model(first, Device.CPU), unchanged)
    del first
    in_use = active.current()
    gone = weakref.ref(in_use)
    query = Query(in_use.history(["k00"], [0.0], [""], None).history, 1.0, limit=5)
    Batcher(batch_limit=4, queue_limit=4).recommend(in_use, [query], Somebody(), "somebody")
    assert active.activate(second) is active.current()
    assert active.current().release_id == second.manifest.release_id
    assert set(active.current().catalogue.titles(np.arange(24))) == {"item of 02"}
    shutil.rmtree(folder)
    assert set(in_use.catalogue.titles(np.arange(24))) == {"item of 01"}
    assert is_mapped(folder)
    del in_use
    assert gone() is None
    assert not is_mapped(folder)


def test_a_release_that_does_not_work_is_not_taken_over(
    store: ReleaseStore, release_v1: Path, unchanged: SqliteCatalogueStore
) -> None:
    source = open_release(release_v1)
    active = ActiveModel(load_model(source, Device.CPU), unchanged)
    before = active.current()
    with pytest.raises(IncompatibleError, match=r"user_encoder\.onnx"):
        active.activate(publish(store, source, FIRST, user_encoder=b"not a model"))
    assert active.current() is before


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[SqliteCatalogueStore]:
    store = SqliteCatalogueStore(tmp_path / "catalogue.sqlite")
    yield store
    store.close()


def folded(release: Release, sequence: int) -> Model:
    """A model of a release that has folded in the changes up to a number."""
    manifest = release.manifest.model_copy(update={"catalogue_sequence": sequence})
    return load_model(replace(release, manifest=manifest), Device.CPU)


def test_a_model_gets_the_changes_that_its_release_lacks(release_v1: Path, catalogue: SqliteCatalogueStore) -> None:
    catalogue.apply([ItemChange(item_id, None) for item_id in ("k00", "k01", "k02")])
    release = open_release(release_v1)
    for sequence in range(4):
        model = ActiveModel(folded(release, sequence), catalogue).current()
        assert [model.catalogue.row(f"k{n:02}") < 0 for n in range(3)] == [sequence <= n for n in range(3)]
        assert model.delta.sequence == 3


def test_changes_outlive_a_swap(store: ReleaseStore, release_v1: Path, catalogue: SqliteCatalogueStore) -> None:
    first, second = (publish(store, open_release(release_v1), time) for time in (FIRST, SECOND))
    active = ActiveModel(load_model(first, Device.CPU), catalogue)
    active.change([ItemChange("k00", None)])
    assert active.current().catalogue.row("k00") == -1
    active.activate(second)
    assert active.current().release_id == second.manifest.release_id
    assert active.current().catalogue.row("k00") == -1


def test_a_new_store_counts_on_behind_the_release(release_v1: Path, catalogue: SqliteCatalogueStore) -> None:
    active = ActiveModel(folded(open_release(release_v1), 41), catalogue)
    model = active.change([ItemChange("k00", None)])
    assert (model.delta.sequence, model.catalogue.row("k00")) == (42, -1)


def test_a_call_keeps_its_view_while_the_catalogue_changes(release_v1: Path, catalogue: SqliteCatalogueStore) -> None:
    active = ActiveModel(load_model(open_release(release_v1), Device.CPU), catalogue)
    before = active.current()
    active.change([ItemChange("k00", None)])
    assert before.catalogue.row("k00") >= 0
    assert len(before.catalogue) == 24
