"""The whole main job through the commands of a user: train, export, index, evaluate, activate, store, serve, ask."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from unbraid_client import Basis, RecommendResult, UnbraidClient
from unbraid_core.release import ReleaseManifest, ReleaseStore
from unbraid_exporter.export import PARITY_REPORT
from unbraid_exporter.parity import ParityReport
from unbraid_index.report import IndexReport
from unbraid_index.report_files import INDEX_REPORT
from unbraid_training.data.folder import write_dataset
from unbraid_training.data.splits import parse_split
from unbraid_training.data.synthetic import SyntheticSpec, plant

UNBRAID = [sys.executable, "-m", "unbraid_cli"]
TIMEOUT_S = 120.0
SPLIT = "last-5"
SIZE = ["--dimension", "16", "--max-history", "20", "--epochs", "3"]


def unbraid(*arguments: str | Path) -> str:
    """What a command that must succeed prints."""
    command = [*UNBRAID, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def serving(releases: Path, state: Path) -> Iterator[str]:
    """The address of a server process, which must end well on SIGTERM."""
    command = [*UNBRAID, "serve", "--port", "0", "--releases", str(releases), "--state", str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = re.fullmatch(r"listening on (\S+), release \S+\n", process.stdout.readline())
            assert ready is not None, process.communicate()
            yield ready[1]
            process.terminate()
            _, log = process.communicate(timeout=TIMEOUT_S)
            assert process.returncode == 0, log
        finally:
            process.kill()


@dataclass(frozen=True)
class Job:
    """What the commands up to the server left behind, and when each held-out user asks."""

    data: Path
    releases: Path
    release_id: str
    state: Path
    evaluation: Path
    run: Path
    user_ids: list[str]
    now_of_user: dict[str, float]

    @property
    def manifest(self) -> ReleaseManifest:
        return ReleaseStore(self.releases).manifest(self.release_id)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    home = tmp_path_factory.mktemp("job")
    planted = plant(SyntheticSpec(user_count=150, item_count=240, events_per_user=30)).dataset
    dataset = replace(planted, user_ids=[f"somebody#{user:04}" for user in range(150)])
    write_dataset(dataset, home / "data")
    holdout = parse_split(SPLIT).apply(dataset)
    write_dataset(holdout.train, home / "known")

    unbraid("train", "--data", home / "data", "--split", SPLIT, "--out", home / "run", *SIZE)
    unbraid("export", home / "run", "--out", home / "export")
    built = unbraid("index", "build", home / "export", "--releases", home / "releases")
    found = re.search(r"release +(\S+)", built)
    assert found is not None
    release_id = found[1]
    outputs: list[str | Path] = ["--json", home / "evaluation.json", "--run-out", home / "trec"]
    unbraid("evaluate", release_id, "--data", home / "data", "--releases", home / "releases", *outputs)
    unbraid("release", "activate", release_id, "--releases", home / "releases")
    unbraid("state", "import", home / "known", "--state", home / "state.db")
    return Job(
        data=home / "data",
        releases=home / "releases",
        release_id=release_id,
        state=home / "state.db",
        evaluation=home / "evaluation.json",
        run=home / "trec",
        user_ids=list(dataset.user_ids),
        now_of_user={
            dataset.user_ids[user]: float(now_s) for user, now_s in zip(holdout.user_H, holdout.now_s_H, strict=True)
        },
    )


@pytest.fixture(scope="module")
def address(job: Job) -> Iterator[str]:
    with serving(job.releases, job.state) as address:
        yield address


def ask(client: UnbraidClient, job: Job, user_id: str) -> RecommendResult:
    """What the server recommends at the moment at which the evaluation asked."""
    return client.recommend(user_id=user_id, limit=50, as_of=datetime.fromtimestamp(job.now_of_user[user_id], UTC))


def item_ids(result: RecommendResult) -> list[str]:
    return [item.item_id for item in result.recommendations]


def test_the_release_says_how_close_onnx_is_to_pytorch(job: Job) -> None:
    report = ParityReport.model_validate_json((job.releases / job.release_id / PARITY_REPORT).read_bytes())
    assert len({(case.batch, case.length) for case in report.cases}) >= 8
    assert (1, 1) in {(case.batch, case.length) for case in report.cases}
    assert max(max(case.interests_error, case.assignment_error) for case in report.cases) <= 1e-5


def test_the_release_says_what_its_index_finds(job: Job) -> None:
    report = IndexReport.model_validate_json((job.releases / job.release_id / INDEX_REPORT).read_bytes())
    assert report.spec.query_source == "held-out users"
    assert report.spec.recall_lower_bound is not None
    assert report.spec.recall_lower_bound >= 0.99
    assert report.spec == job.manifest.index


def test_the_evaluation_says_what_was_judged(job: Job) -> None:
    report = json.loads(job.evaluation.read_text())
    assert report["setting"]["release_id"] == job.release_id
    assert report["setting"]["split"] == SPLIT
    assert report["setting"]["user_count"] == len(job.now_of_user) >= 100
    assert [system["system"] for system in report["systems"]] == ["unbraid", "popularity", "decayed popularity"]


def test_the_server_answers_what_was_evaluated_item_for_item(job: Job, address: str) -> None:
    """The run file is the ranking of the offline evaluation; the server knows the users from the state store."""
    evaluated: dict[str, list[str]] = {}
    for line in job.run.read_text().splitlines():
        user_id, _, item_id, *_ = line.split()
        evaluated.setdefault(user_id, []).append(item_id)
    asked = list(evaluated)[:100]
    assert len(asked) == 100
    with UnbraidClient(address) as client:
        results = {user_id: ask(client, job, user_id) for user_id in asked}
    assert {user_id: item_ids(result) for user_id, result in results.items()} == {
        user_id: evaluated[user_id] for user_id in asked
    }
    assert {(result.basis, result.release_id) for result in results.values()} == {(Basis.INTERESTS, job.release_id)}


def test_the_command_prints_what_the_client_gets(job: Job, address: str) -> None:
    user_id, now_s = next(iter(job.now_of_user.items()))
    with UnbraidClient(address) as client:
        expected = ask(client, job, user_id)
    question = ["recommend", "--user", user_id, "--as-of", str(now_s), "--limit", "50", "--server", address]
    printed = json.loads(unbraid(*question, "--json"))
    assert [item["item_id"] for item in printed["recommendations"]] == item_ids(expected)
    assert printed["release_id"] == job.release_id
    for_people = unbraid(*question)
    assert all(item.title in for_people for item in expected.recommendations)
    assert f"release {job.release_id}" in for_people


def test_a_stranger_gets_popular_items(address: str) -> None:
    printed = json.loads(unbraid("recommend", "--user", "nobody#0000", "--server", address, "--json"))
    assert printed["basis"] == "popularity"
    assert len(printed["recommendations"]) == 10


def test_a_release_holds_no_user_id(job: Job) -> None:
    def found_in(path: Path) -> list[str]:
        content = path.read_bytes()
        return [user_id for user_id in job.user_ids if user_id.encode() in content]

    files = [path for path in (job.releases / job.release_id).rglob("*") if path.is_file()]
    assert len(files) == len(job.manifest.files) + 1
    assert [path for path in files if found_in(path)] == []
    # The search itself finds what there is.
    assert found_in(job.state) == job.user_ids


def test_a_rebuilt_index_answers_the_same_and_can_be_taken_back(job: Job, address: str) -> None:
    sample = list(job.now_of_user)[:10]
    with UnbraidClient(address) as client:
        before = [item_ids(ask(client, job, user_id)) for user_id in sample]
    at = "--releases", job.releases
    unbraid("index", "rebuild", "--activate", *at)
    store = ReleaseStore(job.releases)
    child = store.manifest()
    assert child.release_id != job.release_id
    assert (child.parent, child.space_id) == (job.release_id, job.manifest.space_id)
    with serving(job.releases, job.state) as second_address, UnbraidClient(second_address) as client:
        results = [ask(client, job, user_id) for user_id in sample]
    assert {result.release_id for result in results} == {child.release_id}
    assert [item_ids(result) for result in results] == before
    assert unbraid("release", "rollback", *at) == f"active release: {job.release_id} (before: {child.release_id})\n"
    assert store.current_id() == job.release_id
