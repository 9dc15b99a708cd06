"""``unbraid index rebuild`` as a process of its own: changes folded in, two at once, and changes watched."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from unbraid_core.item_change import Item, ItemChange, ItemVector
from unbraid_core.release import ReleaseStore, open_release
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore

REBUILD = [sys.executable, "-m", "unbraid_cli", "index", "rebuild"]
TIMEOUT_S = 120.0
INTERRUPTED = 130


@pytest.fixture
def store(tmp_path: Path, release_v1: Path) -> ReleaseStore:
    release_id = open_release(release_v1).manifest.release_id
    shutil.copytree(release_v1, tmp_path / release_id)
    releases = ReleaseStore(tmp_path)
    releases.activate(release_id, datetime.now(UTC))
    return releases


@pytest.fixture
def catalogue(store: ReleaseStore) -> SqliteCatalogueStore:
    return SqliteCatalogueStore(store.root / "catalogue.sqlite")


def rebuild(store: ReleaseStore, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*REBUILD, "--releases", str(store.root), *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )


def test_changes_are_folded_in_and_counted(store: ReleaseStore, catalogue: SqliteCatalogueStore) -> None:
    release = store.open()
    vector = ItemVector(release.manifest.space_id, release.item_vectors_ID[:][3])
    catalogue.apply(
        [ItemChange("k00", None), ItemChange("new", Item("new", "New"), vector), ItemChange("x", Item("x"))]
    )
    done = rebuild(store, "--activate")
    assert done.returncode == 0, done.stderr
    assert "1 item upserted, 1 deleted, 1 left out for want of a vector" in " ".join(done.stdout.split())
    folded = store.open()
    assert (folded.manifest.parent, folded.manifest.catalogue_sequence) == (release.manifest.release_id, 3)
    assert (folded.catalogue.row("k00"), folded.catalogue.row("x")) == (-1, -1)
    assert folded.catalogue.title(folded.catalogue.row("new")) == "New"


def test_a_second_rebuild_is_one_clear_line(store: ReleaseStore) -> None:
    with store.rebuilding():
        done = rebuild(store)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"error: {store.root}: process {os.getpid()} rebuilds a release already" in done.stderr


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Processes take SIGINT, even where the tests were started to ignore it, as shells do behind an ampersand."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_changes_are_watched_until_ctrl_c(store: ReleaseStore, catalogue: SqliteCatalogueStore) -> None:
    command = [*REBUILD, "--releases", str(store.root), "--watch-changes", "2"]
    first = store.current_id()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            catalogue.apply([ItemChange("k00", None)])
            catalogue.apply([ItemChange("k01", None)])
            while not (line := process.stdout.readline()).startswith("next: "):
                assert line, process.communicate()[1]
            assert store.manifest().parent == first
            assert store.manifest().catalogue_sequence == 2
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT_S) == INTERRUPTED
        finally:
            process.kill()
    assert len(store.list()) == 2
