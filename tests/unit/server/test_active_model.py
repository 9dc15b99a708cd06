"""Replacing the model that answers, while calls use the one before."""

from __future__ import annotations

import gc
import shutil
import weakref
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import IncompatibleError
from unbraid_core.release import Release, ReleaseStore, Staging, open_release, publish_release
from unbraid_core.release.layout import CATALOGUE
from unbraid_server.active_model import ActiveModel
from unbraid_server.device import Device
from unbraid_server.model import load_model
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


def test_a_replaced_model_lives_as_long_as_a_call_uses_it(
    store: ReleaseStore, release_v1: Path, unchanged: SqliteCatalogueStore
) -> None:
    first, second = (publish(store, open_release(release_v1), time) for time in (FIRST, SECOND))
    folder = first.folder
    active = ActiveModel(load_model(first, Device.CPU), unchanged)
    del first
    in_use = active.current()
    gone = weakref.ref(in_use)
    assert active.activate(second) is active.current()
    assert active.current().release_id == second.manifest.release_id
    assert set(active.current().catalogue.titles(np.arange(24))) == {"item of 02"}
    shutil.rmtree(folder)
    assert set(in_use.catalogue.titles(np.arange(24))) == {"item of 01"}
    assert is_mapped(folder)
    del in_use
    gc.collect()
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
