"""Real processes, killed and racing: a folder of releases is usable at every moment."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from unbraid_core.errors import Conflict
from unbraid_core.release import ReleaseStore, Staging
from unbraid_core.release.lock import FileLock

NOW = datetime(2026, 7, 1, tzinfo=UTC)


class Worker:
    """Forks children, kills them, and says whether a child lived to the end."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def start(self, **command: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def survived(self) -> bool:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline()) is True


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    command = [sys.executable, str(Path(__file__).with_name("release_worker.py"))]
    environment = {"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield Worker(process)


def assert_usable(store: ReleaseStore) -> None:
    """Whatever is visible is whole, CURRENT names one of them, and nobody is locked out."""
    assert [each.problem for each in store.list() if each.problem] == []
    store.open()
    with Staging(store.root):
        pass
    assert list(store.root.glob(".staging-*")) == []


@pytest.fixture
def active(store: ReleaseStore) -> list[str]:
    """The three releases of the store, of which the first and then the second were activated."""
    release_ids = sorted(each.release_id for each in store.list())
    store.activate(release_ids[0], NOW)
    store.activate(release_ids[1], NOW)
    return release_ids


def test_an_activation_killed_at_any_step_has_happened_or_not(
    store: ReleaseStore, active: list[str], worker: Worker
) -> None:
    state = {name: (store.root / name).read_bytes() for name in ("CURRENT", "ACTIVATIONS")}
    outcomes = set()
    for step in itertools.count(1):
        for name, content in state.items():
            (store.root / name).write_bytes(content)
        worker.start(kind="kill_inside", operation="activate", step=step, root=str(store.root), release_id=active[2])
        survived = worker.survived()
        outcomes.add(store.current_id())
        assert_usable(store)
        if store.current_id() == active[2]:
            assert store.rollback(NOW) == active[1]
        assert store.rollback(NOW) == active[0]
        with pytest.raises(Conflict, match="no release was active before"):
            store.rollback(NOW)
        if survived:
            assert step > 60
            break
    assert outcomes == {active[1], active[2]}


def test_a_publication_killed_at_any_step_has_happened_or_not(
    store: ReleaseStore, active: list[str], worker: Worker, release_v1: Path
) -> None:
    outcomes = set()
    for step in itertools.count(1):
        worker.start(kind="kill_inside", operation="publish", step=step, root=str(store.root), source=str(release_v1))
        survived = worker.survived()
        assert_usable(store)
        new = [each.release_id for each in store.list() if each.release_id not in active]
        outcomes.add(len(new))
        for release_id in new:
            store.open(release_id)
            shutil.rmtree(store.root / release_id)
        if survived:
            assert step > 60
            break
    assert outcomes == {0, 1}


def test_a_rebuild_killed_at_any_step_has_happened_or_not(
    store: ReleaseStore, active: list[str], worker: Worker
) -> None:
    outcomes = set()
    # Most of the way is that of a publication, whose every step is tried above.
    for step in itertools.count(1, 5):
        worker.start(kind="kill_inside", operation="rebuild", step=step, root=str(store.root), release_id=active[1])
        survived = worker.survived()
        assert store.current_id() == active[1]
        assert_usable(store)
        with store.rebuilding():
            pass
        new = [each.release_id for each in store.list() if each.release_id not in active]
        outcomes.add(len(new))
        for release_id in new:
            store.open(release_id)
            shutil.rmtree(store.root / release_id)
        if survived:
            assert step > 100
            break
    assert outcomes == {0, 1}


def test_a_kill_out_of_the_blue_leaves_a_usable_folder(
    store: ReleaseStore, active: list[str], worker: Worker, release_v1: Path
) -> None:
    choose = random.Random(7)
    for _ in range(25):
        worker.start(
            kind="kill_outside",
            operation="everything",
            after_s=choose.uniform(0.0, 0.15),
            root=str(store.root),
            source=str(release_v1),
        )
        assert not worker.survived()
        assert_usable(store)
    assert len(store.list()) > len(active)


def test_racing_activations_are_all_recorded_and_readers_see_none_of_it(
    store: ReleaseStore, active: list[str], worker: Worker
) -> None:
    worker.start(kind="race", root=str(store.root), release_ids=active, times=10)
    log = store.root / "ACTIVATIONS"
    while len(log.read_text().splitlines()) < 2 + 10 * len(active):
        assert store.open().manifest.release_id in active
    assert worker.survived()
    lines = [json.loads(line)["release_id"] for line in log.read_text().splitlines()]
    assert sorted(lines) == sorted(active[:2] + 10 * active)
    assert store.current_id() == lines[-1]


def test_an_activation_during_another_is_refused_and_not_queued_for_ever(
    store: ReleaseStore, active: list[str]
) -> None:
    lock = FileLock.take(store.root / ".lock")
    assert lock is not None
    with lock:
        with pytest.raises(Conflict, match="another activation is under way"):
            store.activate(active[2], NOW)
        assert store.open().manifest.release_id == active[1]
    store.activate(active[2], NOW)
