"""A sample of benchmarks/mutations.py: no damage to a release gets past a server that answers from another one."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from unbraid_core.catalogue import Catalogue
from unbraid_core.release import ReleaseStore, Staging, open_release, publish_release
from unbraid_core.release.layout import CATALOGUE, USER_ENCODER
from unbraid_server.active_model import ActiveModel
from unbraid_server.device import Device
from unbraid_server.logs import open_log
from unbraid_server.model import load_model
from unbraid_server.release_watcher import ReleaseWatcher
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore

NOW = datetime(2026, 7, 1, tzinfo=UTC)
ROUNDS = 12
CURRENT = "CURRENT"

Damage = Callable[[bytes, bytes, random.Random], bytes | None]


def flip_bit(sound: bytes, _: bytes, choose: random.Random) -> bytes:
    position = choose.randrange(len(sound))
    return sound[:position] + bytes([sound[position] ^ 1 << choose.randrange(8)]) + sound[position + 1 :]


def truncate(sound: bytes, _: bytes, choose: random.Random) -> bytes:
    return sound[: choose.randrange(len(sound))]


def append(sound: bytes, _: bytes, choose: random.Random) -> bytes:
    return sound + choose.randbytes(choose.randint(1, 9))


def invert(sound: bytes, _: bytes, choose: random.Random) -> bytes:
    start = choose.randrange(len(sound))
    end = choose.randint(start + 1, len(sound))
    return sound[:start] + bytes(255 - byte for byte in sound[start:end]) + sound[end:]


def exchange(_: bytes, foreign: bytes, __: random.Random) -> bytes:
    return foreign


def remove(_: bytes, __: bytes, ___: random.Random) -> None:
    return None


@pytest.fixture
def store(tmp_path: Path, release_v1: Path) -> ReleaseStore:
    """Two releases that have no file in common, but for their reports; the first is active."""
    source = open_release(release_v1)
    encoder = source.path(USER_ENCODER).read_bytes()
    for day in (1, 2):
        with Staging(tmp_path / "releases") as staging:
            Catalogue.of(source.catalogue.item_ids, [f"of day {day}"] * 24).write(staging.folder / CATALOGUE)
            (staging.folder / USER_ENCODER).write_bytes(encoder)
            created_time = NOW + timedelta(days=day)
            publish_release(staging, source, index=source.manifest.index, parent=None, created_time=created_time)
    releases = ReleaseStore(tmp_path / "releases")
    releases.activate(releases.list()[-1].release_id, NOW)
    return releases


@pytest.mark.parametrize("damage", [flip_bit, truncate, append, invert, exchange, remove])
def test_damage_is_refused_by_name_while_the_last_good_release_answers(
    store: ReleaseStore, unchanged: SqliteCatalogueStore, damage: Damage
) -> None:
    choose = random.Random(1)
    victim = store.list()[0].release_id
    active = ActiveModel(load_model(store.open(), Device.CPU), unchanged)
    watcher = ReleaseWatcher(store, active, open_log("critical"))
    before = active.current()
    folder = store.root / victim
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    sound = Path(shutil.copytree(folder, store.root.parent / "sound"))
    for number in range(3 * len(names)):
        name = names[number % len(names)]
        content = damage((sound / name).read_bytes(), (sound / names[number % len(names) - 1]).read_bytes(), choose)
        (folder / name).unlink()
        if content is not None:
            (folder / name).write_bytes(content)
        (store.root / CURRENT).write_text(f"{victim}\n")
        watcher.look(again=True)
        assert watcher.failure is not None
        assert watcher.failure.error.message.startswith(f"{victim}/{name}: ")
        assert active.current() is before
        shutil.copy(sound / name, folder / name)
    watcher.look(again=True)
    assert active.current().release_id == victim


@pytest.mark.parametrize("damage", [flip_bit, truncate, append, invert])
def test_a_damaged_current_is_refused(store: ReleaseStore, unchanged: SqliteCatalogueStore, damage: Damage) -> None:
    choose = random.Random(2)
    victim = store.list()[0].release_id
    active = ActiveModel(load_model(store.open(), Device.CPU), unchanged)
    watcher = ReleaseWatcher(store, active, open_log("critical"))
    before = active.current()
    for _ in range(ROUNDS):
        content = damage(f"{victim}\n".encode(), b"", choose)
        assert content is not None
        (store.root / CURRENT).write_bytes(content)
        watcher.look(again=True)
        assert watcher.failure is not None
        assert str(store.root) in watcher.failure.error.message
        assert active.current() is before
