"""Damages a release in many ways, activates it, and looks what a server does that answers from another one.

    python -m benchmarks.mutations [--count 600] [--items 2000] [--seed 0]

Every file of the release is damaged, manifest.json and CURRENT included: bits are flipped, ends are cut off or added,
blocks are inverted, files are removed, files are put in the place of others or come from another release, and manifests
claim an older or a newer format. Each time the server has to refuse the release by the name of a file and with a
reason, to say so in its status, and to go on answering from the last good release. Prints a table: mutations and
refusals for every kind. Exits with 1 where a mutation was not refused, or the server died.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from benchmarks.server_process import server_process
from benchmarks.synthetic_release import publish_synthetic_release
from rich.console import Console
from rich.progress import track
from rich.table import Table

from unbraid_client import UnbraidClient
from unbraid_core.release import ReleaseStore
from unbraid_core.release.seal import UNSEALED, own_digest

MANIFEST = "manifest.json"
CURRENT, NEXT = "CURRENT", ".next"
TIMEOUT_S, POLL_S = 60.0, 0.01


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a mutation takes place.

    Attributes:
        root: the folder of releases.
        good, victim: release_ids; the server answers from the first, the second is damaged.
        sound: an undamaged copy of the second.
    """

    root: Path
    good: str
    victim: str
    sound: Path

    def path(self, name: str) -> Path:
        """Where a file of the victim lies, or what is going to be CURRENT."""
        return self.root / NEXT if name == CURRENT else self.root / self.victim / name

    def files(self) -> list[str]:
        """Every file of the victim, and CURRENT."""
        names = (path.relative_to(self.sound).as_posix() for path in self.sound.rglob("*") if path.is_file())
        return sorted([*names, CURRENT])

    def prepare(self) -> None:
        """Undo the mutation before."""
        shutil.rmtree(self.root / self.victim)
        shutil.copytree(self.sound, self.root / self.victim)
        (self.root / NEXT).write_text(f"{self.victim}\n")

    def activate(self) -> None:
        """Make the victim the active release as a careless operator would, without the checks of unbraid."""
        (self.root / NEXT).replace(self.root / CURRENT)


Mutation = Callable[[Scene, str, np.random.Generator], None]


def flip_bit(scene: Scene, name: str, rng: np.random.Generator) -> None:
    """One bit of one byte."""
    content = bytearray(scene.path(name).read_bytes())
    content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    scene.path(name).write_bytes(content)


def truncate(scene: Scene, name: str, rng: np.random.Generator) -> None:
    """The end is missing, or everything."""
    content = scene.path(name).read_bytes()
    scene.path(name).write_bytes(content[: rng.integers(len(content))])


def append(scene: Scene, name: str, rng: np.random.Generator) -> None:
    """Some bytes too many."""
    scene.path(name).write_bytes(scene.path(name).read_bytes() + rng.bytes(int(rng.integers(1, 64))))


def overwrite(scene: Scene, name: str, rng: np.random.Generator) -> None:
    """A block of another content, as a file system leaves behind that lost a page."""
    content = bytearray(scene.path(name).read_bytes())
    start = int(rng.integers(len(content)))
    length = len(content[start : start + 512])
    content[start : start + length] = bytes(255 - byte for byte in content[start : start + length])
    scene.path(name).write_bytes(content)


def remove(scene: Scene, name: str, _: np.random.Generator) -> None:
    """The file is gone; a CURRENT that is gone says nothing, so it is emptied instead."""
    if name == CURRENT:
        scene.path(name).write_bytes(b"")
    else:
        scene.path(name).unlink()


def replace_by_link(scene: Scene, name: str, _: np.random.Generator) -> None:
    """A link to the same bytes elsewhere; CURRENT, which is read through links, names a release that is not there."""
    if name == CURRENT:
        scene.path(name).write_text("20200101T000000Z-00000000\n")
    else:
        scene.path(name).unlink()
        scene.path(name).symlink_to(scene.sound / name)


def take_from_other_release(scene: Scene, name: str, rng: np.random.Generator) -> None:
    """The file of the same name out of the good release, or some other file of the same release."""
    foreign = scene.root / scene.good / name
    if name == CURRENT or foreign.read_bytes() == scene.path(name).read_bytes():
        others = [other for other in scene.files() if other not in (name, CURRENT)]
        foreign = scene.sound / others[rng.integers(len(others))]
    scene.path(name).write_bytes(foreign.read_bytes())


def add_file(scene: Scene, name: str, rng: np.random.Generator) -> None:
    """A file too many beside this one; behind the release_id in CURRENT, a second one."""
    if name == CURRENT:
        scene.path(name).write_text(f"{scene.victim}\n{scene.good}\n")
    else:
        scene.path(name).with_name(f"extra-{rng.integers(1000)}").write_bytes(rng.bytes(8))


def other_format(scene: Scene, name: str, rng: np.random.Generator) -> None:
    """A sealed manifest of an older or newer format, or with a field that this version does not know."""
    manifest = json.loads(scene.path(MANIFEST).read_text())
    if name == CURRENT:
        manifest["from_the_future"] = True
    else:
        manifest["format_version"] = int(rng.choice([0, 2, 3, 99]))
    manifest["manifest_sha256"] = UNSEALED
    text = json.dumps(manifest).encode()
    scene.path(MANIFEST).write_bytes(text.replace(UNSEALED.encode(), own_digest(text).encode()))


MUTATIONS: dict[str, Mutation] = {
    "bit flipped": flip_bit,
    "truncated": truncate,
    "bytes added": append,
    "block inverted": overwrite,
    "removed": remove,
    "replaced by a link": replace_by_link,
    "of another release": take_from_other_release,
    "file added": add_file,
    "other format": other_format,
}


def refusal(client: UnbraidClient, good: str, before: datetime | None) -> tuple[datetime, str]:
    """Wait for what the server says about the release that was activated: when, and why it refuses it."""
    end_s = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end_s:
        status = client.get_status()
        error = status.last_activation_error
        if status.release.release_id != good:
            return datetime.now(UTC), ""
        if error is not None and error.time != before:
            return error.time, error.message
        time.sleep(POLL_S)
    return datetime.now(UTC), ""


def is_named(message: str, scene: Scene) -> bool:
    """Whether a message says which file is wrong."""
    return message.startswith((f"{scene.victim}/", f"{scene.root / CURRENT}: ", f"{scene.root}: no release "))


def main() -> int:
    """Try as many mutations as asked for, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--items", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    tried, refused = Counter[str](), Counter[str]()
    with TemporaryDirectory() as folder:
        store = ReleaseStore(Path(folder) / "releases")
        now = datetime.now(UTC)
        good, victim = (publish_synthetic_release(store, options.items, title, now) for title in ("good", "victim"))
        store.activate(good, now)
        sound = Path(shutil.copytree(store.root / victim, Path(folder) / "sound"))
        scene = Scene(store.root, good, victim, sound)
        names = scene.files()
        with server_process(store.root) as (target, _), UnbraidClient(target) as client:
            seen: datetime | None = None
            for number in track(range(options.count), "mutations"):
                kind, mutate = list(MUTATIONS.items())[number % len(MUTATIONS)]
                name = names[number // len(MUTATIONS) % len(names)]
                scene.prepare()
                mutate(scene, name, rng)
                scene.activate()
                seen, message = refusal(client, good, seen)
                tried[kind] += 1
                refused[kind] += is_named(message, scene)
                if not is_named(message, scene):
                    Console(stderr=True).print(f"not refused by name: {name} {kind}: {message!r}")
            answers = client.recommend(history=[]).release_id == good
    table = Table("mutation", "tried", "refused by name")
    for kind in MUTATIONS:
        table.add_row(kind, str(tried[kind]), str(refused[kind]))
    table.add_row("all", str(tried.total()), str(refused.total()))
    Console(width=100).print(table)
    Console().print(f"{len(names)} files; the server still answers from the last good release: {answers}")
    return int(not answers or refused.total() != tried.total())


if __name__ == "__main__":
    sys.exit(main())
