"""Which releases are removed, and which never are."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from unbraid_core.errors import InvalidInput, NotFound
from unbraid_core.release import ReleaseStore, Staging, collect_releases, open_release, publish_release
from unbraid_core.release.lock import FileLock

NOW = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture
def releases(tmp_path: Path, release_v1: Path) -> ReleaseStore:
    """Six releases of equal content, a day apart; none is active."""
    source = open_release(release_v1)
    for day in range(6):
        with Staging(tmp_path / "releases") as staging:
            publish_release(
                staging, source, index=source.manifest.index, parent=None, created_time=NOW + timedelta(days=day)
            )
    return ReleaseStore(tmp_path / "releases")


def ids(store: ReleaseStore) -> list[str]:
    """Oldest first."""
    return sorted(each.release_id for each in store.list())


def kept(store: ReleaseStore, keep_count: int) -> list[str]:
    """What is there after a collection, after a check that its verdicts say the same."""
    verdicts = collect_releases(store, keep_count)
    left = ids(store)
    assert sorted(each.summary.release_id for each in verdicts if each.kept_because) == left
    assert list(store.root.glob(".staging-*")) == []
    return left


@pytest.mark.parametrize("keep_count", [0, 1, 4, 6, 9])
def test_the_newest_stay(releases: ReleaseStore, keep_count: int) -> None:
    newest = ids(releases)[max(0, 6 - keep_count) :]
    assert kept(releases, keep_count) == newest


def test_the_active_release_and_the_way_back_stay(releases: ReleaseStore) -> None:
    before = ids(releases)
    for position in (1, 0, 2):
        releases.activate(before[position], NOW)
    assert kept(releases, 0) == [before[0], before[2]]
    assert releases.rollback(NOW) == before[0]


def test_a_rollback_skips_what_was_removed(releases: ReleaseStore) -> None:
    before = ids(releases)
    for position in (3, 1, 2):
        releases.activate(before[position], NOW)
    releases.rollback(NOW)
    assert kept(releases, 0) == [before[1], before[3]]
    releases.activate(before[3], NOW)
    assert releases.rollback(NOW) == before[1]


def test_a_release_that_a_process_has_open_stays_until_that_ends(releases: ReleaseStore) -> None:
    in_use, *_ = ids(releases)
    code = "import sys, pathlib; from unbraid_core.release import open_release\n"
    code += "held = open_release(pathlib.Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(releases.root / in_use)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"open\n"
        assert kept(releases, 1) == [in_use, ids(releases)[-1]]
        process.kill()
    assert kept(releases, 0) == []


def test_a_release_that_is_closed_can_be_removed(releases: ReleaseStore) -> None:
    oldest, *_ = ids(releases)
    release = releases.open(oldest)
    assert kept(releases, 0) == [oldest]
    del release
    assert kept(releases, 0) == []


def test_what_has_no_readable_manifest_is_left_alone(releases: ReleaseStore) -> None:
    (releases.root / "notes").mkdir()
    (releases.root / ids(releases)[0] / "manifest.json").write_text("{}")
    oldest, *_ = ids(releases)
    assert kept(releases, 0) == [oldest, "notes"]


def test_a_release_that_is_being_removed_cannot_be_opened(releases: ReleaseStore) -> None:
    oldest, *_ = ids(releases)
    lock = FileLock.take_folder(releases.root / oldest)
    assert lock is not None
    with lock, pytest.raises(NotFound, match=f"{oldest}: is being removed"):
        releases.open(oldest)
    releases.open(oldest)


def test_a_negative_number_is_refused(releases: ReleaseStore) -> None:
    with pytest.raises(InvalidInput, match="keep: -1 is negative"):
        collect_releases(releases, -1)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere: no such folder"):
        collect_releases(ReleaseStore(tmp_path / "nowhere"), 3)
