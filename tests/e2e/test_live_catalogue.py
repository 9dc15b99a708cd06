"""Two server processes that share a catalogue file, over real sockets: visible within a second, and never lost."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from threading import Thread

import pytest

from unbraid_client import ClientError, Item, UnbraidClient

UNBRAID = [sys.executable, "-m", "unbraid_cli"]
TIMEOUT_S = 60.0
VISIBLE_WITHIN_S = 1.0

Starter = Callable[[], tuple[subprocess.Popen[str], str]]


@pytest.fixture
def releases(releases_v1: Path, tmp_path: Path) -> Path:
    """A folder of releases of the test's own."""
    return shutil.copytree(releases_v1, tmp_path / "releases")


@pytest.fixture
def start(releases: Path, tmp_path: Path) -> Iterator[Starter]:
    started: list[subprocess.Popen[str]] = []

    def start_server() -> tuple[subprocess.Popen[str], str]:
        folders = ["--releases", str(releases), "--state", str(tmp_path / "state.db")]
        command = [*UNBRAID, "serve", "--port", "0", *folders]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        started.append(process)
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("listening on ")
        return process, line.removeprefix("listening on ").partition(",")[0]

    yield start_server
    for process in started:
        process.kill()
        process.communicate()


def recommended(client: UnbraidClient) -> set[str]:
    return {each.item_id for each in client.recommend(history=[("k03", 1.0)], limit=500).recommendations}


def seconds_until(holds: Callable[[], bool]) -> float:
    """How long it takes until something holds; for ever is a failure."""
    began_s = time.monotonic()
    while not holds():
        assert time.monotonic() - began_s < TIMEOUT_S
    return time.monotonic() - began_s


def test_changes_show_on_the_other_server_within_a_second(start: Starter) -> None:
    (_, address), (_, other_address) = start(), start()
    with UnbraidClient(address) as client, UnbraidClient(other_address) as other:
        space_id = client.get_items([]).space_id
        client.upsert_items([Item("new", "the new one", vector=[1.0] * 8)], space_id=space_id)
        assert "new" in recommended(client)
        assert seconds_until(lambda: "new" in recommended(other)) < VISIBLE_WITHIN_S
        client.delete_items(["k05"])
        assert "k05" not in recommended(client)
        assert seconds_until(lambda: "k05" not in recommended(other)) < VISIBLE_WITHIN_S


def test_what_was_acknowledged_outlives_a_kill(start: Starter) -> None:
    process, address = start()
    acknowledged: list[str] = []

    def change_until_it_is_gone() -> None:
        with UnbraidClient(address, timeout_s=5.0) as client:
            space_id = client.get_items([]).space_id
            for number in count():
                item = Item(f"n{number:04}", vector=[1.0] * 7 + [1.0 + number])
                try:
                    client.upsert_items([item], space_id=space_id)
                except ClientError:
                    return
                acknowledged.append(item.item_id)

    writer = Thread(target=change_until_it_is_gone)
    writer.start()
    seconds_until(lambda: len(acknowledged) >= 20)
    process.send_signal(signal.SIGKILL)
    process.wait()
    writer.join()
    _, again_address = start()
    with UnbraidClient(again_address) as again:
        assert set(acknowledged) <= recommended(again)
        # The one that was under way may be there, too.
        assert again.get_status().catalogue.changed_item_count - len(acknowledged) in {0, 1}
