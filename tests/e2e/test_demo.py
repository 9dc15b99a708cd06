"""``unbraid demo`` as a process of its own: first run, second run, killed runs, own data, no network."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from unbraid_client import Basis, ClientError, UnbraidClient
from unbraid_core.release import ReleaseManifest, ReleaseStore
from unbraid_server.sqlite_state import SqliteStateStore
from unbraid_training.data.folder import read_dataset, write_dataset
from unbraid_training.data.synthetic import SyntheticSpec, plant

DEMO = [sys.executable, "-m", "unbraid_cli", "demo"]
TIMEOUT_S = 600.0
HEADINGS = [
    "Data",
    "Training",
    "Export to ONNX",
    "Index and release",
    "Evaluation",
    "Activation",
    "Histories of users",
    "Server",
    "Recommendations",
]
SEED = 20
# Where the demo is killed: some time, at most so many seconds, after a heading was printed. The index comes first: once
# there is a release, no later run prints its heading.
KILLS = [
    ("Training", 1.0),
    ("Training", 3.0),
    ("Index and release", 0.3),
    ("Export to ONNX", 4.0),
    ("Activation", 1.5),
    ("Histories of users", 0.3),
]


@contextmanager
def started(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A demo in a process group of its own, both outputs in one stream."""
    command = [*DEMO, *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], start: str) -> str:
    """The output up to the line that begins so."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(start):
            return "".join(lines)
    raise AssertionError(f"ended with {process.wait()} and without a line {start!r}:\n{''.join(lines)}")


def read_to_end(process: subprocess.Popen[str]) -> str:
    """The rest of the output. It ends when the last process that could write to it has ended."""
    output, _ = process.communicate(timeout=TIMEOUT_S)
    return output


def run(*arguments: str | Path) -> str:
    """What a demo that must succeed prints, after a check that it left no process behind."""
    with started(*arguments) as process:
        output = read_to_end(process)
        assert process.returncode == 0, output
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)
    return output


def address_in(output: str) -> str:
    found = re.search(r"listening on (\S+), release", output)
    assert found is not None, output
    return found[1]


def assert_nobody_answers_at(address: str) -> None:
    with UnbraidClient(address, timeout_s=5.0) as client, pytest.raises(ClientError):
        client.get_status()


@dataclass(frozen=True)
class FirstRun:
    """An undisturbed run in an empty folder; all that it made lies in ``home``."""

    work: Path
    home: Path
    output: str


def active_release(home: Path) -> ReleaseManifest:
    return ReleaseStore(home / "releases").manifest()


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    work = tmp_path_factory.mktemp("demo")
    return FirstRun(work, work / "synthetic", run("--synthetic", "--work", work))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of somebody's own, with events and nothing else."""
    folder = tmp_path_factory.mktemp("own") / "shop"
    write_dataset(plant(SyntheticSpec(user_count=60, item_count=60, events_per_user=20)).dataset, folder)
    (folder / "items.csv").unlink()
    return folder


@pytest.fixture(scope="module")
def own(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    work = tmp_path_factory.mktemp("demo")
    return FirstRun(work, work / "shop", run("--data", shop, "--work", work, "--user", "user-7"))


def test_the_first_run_shows_every_step_and_an_answer(synthetic: FirstRun) -> None:
    output = synthetic.output
    headings = [line.rstrip("─ ") for line in output.splitlines() if line.endswith("──")]
    assert len(headings) == len(HEADINGS)
    assert all(found.startswith(expected) for found, expected in zip(headings, HEADINGS, strict=True))
    answer = output[output.index("Recommendations") :]
    for part in ("latest items", "what speaks for it", "half-life", "affinity", "basis interests"):
        assert part in answer
    topics = r"(jazz|hiking|baking|astronomy) \d+"
    assert len(re.findall(rf"^ ?\d+  {topics}  ", answer, re.MULTILINE)) == 10
    assert f"release {active_release(synthetic.home).release_id}" in answer
    assert_nobody_answers_at(address_in(output))


def test_a_second_run_reuses_what_is_there_and_can_keep_the_server_up(synthetic: FirstRun) -> None:
    release_id = active_release(synthetic.home).release_id
    with started("--synthetic", "--work", synthetic.work, "--serve", "--port", "0") as process:
        output = read_until(process, "The server stays up")
        with UnbraidClient(address_in(output)) as client:
            assert client.recommend(user_id="user-1", limit=5).basis is Basis.INTERESTS
        # As Ctrl-C in a terminal does, to the demo and the server alike.
        os.killpg(process.pid, signal.SIGINT)
        output += read_to_end(process)
    assert process.returncode == 0, output
    assert "epoch" not in output
    assert "Traceback" not in output
    releases = ReleaseStore(synthetic.home / "releases").list()
    assert [(each.release_id, each.active) for each in releases] == [(release_id, True)]


def test_own_events_without_an_items_file(own: FirstRun) -> None:
    assert "user user-7, " in own.output
    assert len(re.findall(r"^ ?\d+  item-\d+ ", own.output, re.MULTILINE)) == 10


def test_a_killed_run_goes_on_where_it_was(own: FirstRun, shop: Path, tmp_path: Path) -> None:
    """Killed at seeded moments all along, and at last while it serves, it ends as an undisturbed run does."""
    random = Random(SEED)
    for heading, longest_s in KILLS:
        with started("--data", shop, "--work", tmp_path) as process:
            read_until(process, heading)
            try:
                process.wait(random.uniform(0.0, longest_s))
            except subprocess.TimeoutExpired:
                process.kill()
            read_to_end(process)
            assert process.returncode in (0, -signal.SIGKILL)
    kill_while_it_serves(shop, tmp_path)
    assert "basis interests" in run("--data", shop, "--work", tmp_path)
    expected, found = active_release(own.home), active_release(tmp_path / "shop")
    assert found.space_id == expected.space_id
    assert found.files["user_encoder.onnx"] == expected.files["user_encoder.onnx"]
    assert found.files["items.arrow"] == expected.files["items.arrow"]
    store = SqliteStateStore(tmp_path / "shop" / "state.db")
    assert store.count_events() == len(read_dataset(shop)[0])
    store.close()


def kill_while_it_serves(data: Path, work: Path) -> None:
    """The server must not outlive the demo."""
    with started("--data", data, "--work", work, "--serve", "--port", "0") as process:
        address = address_in(read_until(process, "The server stays up"))
        with UnbraidClient(address) as client:
            assert client.get_status().user_count > 0
        process.kill()
        read_to_end(process)
    assert_nobody_answers_at(address)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--synthetic", "--data", "shop"], "--synthetic: cannot go with --data"),
        (["--data", "no-such-folder"], "no-such-folder: no such folder"),
        (["--synthetic", "--user", "nobody"], "--user nobody: no such user in the data; there are user-0 and others"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    assert message in refusal(*arguments, "--work", tmp_path)


def test_without_network_and_cache_the_way_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    line = refusal("--work", tmp_path / "work")
    assert "pip cannot download recbole" in line
    assert "unbraid demo --synthetic" in line


def refusal(*arguments: str | Path) -> str:
    """What a demo that cannot run says, after a check that it is one line and exit code 2."""
    done = subprocess.run([*DEMO, *map(str, arguments)], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr
