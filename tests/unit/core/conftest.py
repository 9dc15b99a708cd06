from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from unbraid_core.release import ReleaseManifest, ReleaseStore, Staging, open_release, publish_release

Publish = Callable[[Path, int], ReleaseManifest]


@pytest.fixture
def release_folder(tmp_path: Path, release_v1: Path) -> Path:
    """A copy of the fixture release, to be damaged."""
    return Path(shutil.copytree(release_v1, tmp_path / "release-v1"))


@pytest.fixture(scope="session")
def publish(release_v1: Path) -> Publish:
    """Publishes the content of the fixture under a root once more, as a release made on a given day of 2026."""
    source = open_release(release_v1)

    def publish_on(root: Path, day: int) -> ReleaseManifest:
        created_time = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day - 1)
        with Staging(root) as staging:
            return publish_release(staging, source, index=source.manifest.index, parent=None, created_time=created_time)

    return publish_on


@pytest.fixture
def store(tmp_path: Path, publish: Publish) -> ReleaseStore:
    """A store with the releases of the first three days; none is active."""
    root = tmp_path / "releases"
    for day in (1, 2, 3):
        publish(root, day)
    return ReleaseStore(root)
