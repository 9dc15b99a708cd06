"""A process that forks children which change a folder of releases, and kills them.

Reads one JSON command a line from stdin and answers each with one JSON line on stdout. It is a program of its own
because a child must be forked from a process without threads, and because forking is a hundred times quicker than
starting Python for every kill.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from unbraid_core.release import Release, ReleaseStore, Staging, open_release, publish_release

NOW = datetime(2026, 7, 1, tzinfo=UTC)
# The lines that change something; the rest only reads, and is run through again and again.
CHANGING = (
    "activations.py",
    "lock.py",
    "publication.py",
    "release_build.py",
    "replacement.py",
    "staging.py",
    "store.py",
)


def publish(root: Path, source: Release, created_time: datetime) -> None:
    with Staging(root) as staging:
        publish_release(staging, source, index=source.manifest.index, parent=None, created_time=created_time)


def operation(command: dict[str, Any]) -> Callable[[], object]:
    """What the child has to do."""
    store = ReleaseStore(Path(command["root"]))
    match command["operation"]:
        case "publish":
            source = open_release(Path(command["source"]))
            return lambda: publish(store.root, source, NOW)
        case "rebuild":
            from unbraid_index.release_build import rebuild_release  # noqa: PLC0415 - before the fork, and only here

            return lambda: rebuild_release(store, command["release_id"], None, NOW, 0.99)
        case "activate":
            return lambda: store.activate(command["release_id"], NOW)
        case "everything":
            return lambda: everything(store, open_release(Path(command["source"])))
    raise ValueError(command)


def everything(store: ReleaseStore, source: Release) -> None:
    """Publish, activate and roll back until killed."""
    first = 1000 * os.getpid()
    for step in itertools.count():
        publish(store.root, source, NOW + timedelta(seconds=first + step))
        store.activate(store.list()[0].release_id, NOW)
        if step % 3 == 0:
            store.rollback(NOW)


def kill_at(step: int) -> None:
    """Let this process die right before the given step: a line of the code, or an operation on the file system."""
    taken = 0

    def take() -> None:
        nonlocal taken
        taken += 1
        if taken == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def trace(frame: FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        if Path(code.co_filename).name not in CHANGING or code.co_name.startswith("<"):
            return None
        if event == "line":
            take()
        return trace

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        opened_for_writing = event == "open" and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
        if opened_for_writing or event in ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate"):
            take()

    sys.addaudithook(audit)
    sys.settrace(trace)


def fork(run: Callable[[], object]) -> int:
    """Run something in a child and return its process id."""
    child = os.fork()
    if child == 0:
        try:
            run()
        finally:
            error = sys.exception()
            if error is not None:
                traceback.print_exception(error)
            os._exit(0 if error is None else 1)
    return child


def survived(child: int) -> bool:
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0
    return True


def kill_inside(command: dict[str, Any]) -> bool:
    run = operation(command)

    def traced() -> None:
        kill_at(command["step"])
        run()

    return survived(fork(traced))


def kill_outside(command: dict[str, Any]) -> bool:
    child = fork(operation(command))
    time.sleep(command["after_s"])
    os.kill(child, signal.SIGKILL)
    return survived(child)


def race(command: dict[str, Any]) -> bool:
    """One child for each release activates it again and again, whatever the others do."""

    def insist(release_id: str) -> None:
        store = ReleaseStore(Path(command["root"]))
        for _ in range(command["times"]):
            store.activate(release_id, NOW)

    children = [fork(partial(insist, release_id)) for release_id in command["release_ids"]]
    outcomes = [survived(child) for child in children]
    return all(outcomes)


def main() -> None:
    """Obey until stdin ends."""
    kinds = {"kill_inside": kill_inside, "kill_outside": kill_outside, "race": race}
    for line in sys.stdin:
        command = json.loads(line)
        sys.stdout.write(json.dumps(kinds[command["kind"]](command)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
