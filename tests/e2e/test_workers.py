"""``unbraid serve --workers 2``: real processes behind one port, some of which are killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from threading import Event as Flag
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client.parser import text_string_to_metric_families

from unbraid.v1 import catalogue_pb2, release_pb2, status_pb2
from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1.catalogue_pb2_grpc import CatalogServiceStub
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid.v1.release_pb2_grpc import ReleaseServiceStub
from unbraid.v1.status_pb2_grpc import StatusServiceStub
from unbraid_client.channel import CHANNEL_OPTIONS
from unbraid_core.release import ReleaseStore, Staging, open_release, publish_release

if TYPE_CHECKING:
    from tests.e2e.conftest import ServerProcess, Starter

TIMEOUT_S = 60.0
GONE = {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}
# Otherwise all channels of this process would share one connection, and so one worker.
ONE_CONNECTION_EACH = ("grpc.use_local_subchannel_pool", 1)
WITHOUT_RETRIES = ("grpc.enable_retries", 0)
EVENTS = [pb.Event(item_id=f"k{i % 12:02}", event_time=Timestamp(seconds=i + 1)) for i in range(50)]
QUESTION = pb.RecommendRequest(history=pb.History(events=EVENTS), limit=20)


def until(condition: Callable[[], bool]) -> None:
    """Look again and again, but leave the cores to the servers in between."""
    pause = Flag()
    for _ in range(int(TIMEOUT_S / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError(condition)


@pytest.fixture(scope="module")
def releases(release_v1: Path, tmp_path_factory: pytest.TempPathFactory) -> ReleaseStore:
    """Two releases, the first of which is active."""
    root = tmp_path_factory.mktemp("releases")
    source = open_release(release_v1)
    for day in (1, 2):
        with Staging(root) as staging:
            created_time = datetime(2026, 3, day, tzinfo=UTC)
            publish_release(staging, source, index=source.manifest.index, parent=None, created_time=created_time)
    store = ReleaseStore(root)
    store.activate(min(summary.release_id for summary in store.list()), datetime.now(UTC))
    return store


@pytest.fixture(scope="module")
def server(start_for_all: Starter, releases: ReleaseStore) -> ServerProcess:
    return start_for_all(
        "--releases", str(releases.root), "--workers", "2", "--metrics-port", "0", UNBRAID_LOG_LEVEL="debug"
    )


def status_of(channel: grpc.Channel) -> status_pb2.GetStatusResponse:
    return StatusServiceStub(channel).GetStatus(status_pb2.GetStatusRequest(), timeout=TIMEOUT_S)


@contextmanager
def channels(server: ServerProcess, *options: tuple[str, str | int]) -> Iterator[dict[int, grpc.Channel]]:
    """A connection to each of the two workers, by their numbers."""
    found: dict[int, grpc.Channel] = {}
    with ExitStack() as opened:
        while len(found) < 2:
            channel = opened.enter_context(
                grpc.insecure_channel(server.address, options=[ONE_CONNECTION_EACH, *options])
            )
            found.setdefault(status_of(channel).worker_number, channel)
        yield found


def pids(server: ServerProcess) -> dict[int, int]:
    """The process of each worker, the one that was ready last."""
    return {int(str(line["worker"])): int(str(line["pid"])) for line in server.logged("worker ready")}


def test_two_workers_answer_and_the_supervisor_has_nothing_loaded(server: ServerProcess) -> None:
    assert server.ready_line.endswith(", 2 workers\n")
    with channels(server) as workers:
        statuses = {number: status_of(channel) for number, channel in workers.items()}
    assert set(statuses) == {1, 2}
    assert {status.worker_count for status in statuses.values()} == {2}
    assert {line["worker"] for line in server.logged("serving")} == {1, 2}
    mapped = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert not re.search("cygrpc|faiss|onnxruntime|numpy", mapped)
    for process_id in pids(server).values():
        assert b"glibc.malloc.tcache_count=0" in Path(f"/proc/{process_id}/environ").read_bytes()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_server_on_the_port_is_refused(server: ServerProcess, tmp_path: Path, workers: str) -> None:
    port = server.address.rpartition(":")[2]
    arguments = ["--state", str(tmp_path / "s.db"), "--port", port, "--workers", workers]
    assert f"cannot listen on {server.address}: Address already in use" in refused(server, *arguments)


def refused(server: ServerProcess, *arguments: str) -> str:
    """What a server on the same releases says that does not start: one line, and exit code 2."""
    releases = Path(str(server.logged("serving")[0]["catalogue"])).parent
    command = [sys.executable, "-m", "unbraid_cli", "serve", "--releases", str(releases), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done
    (line,) = (line for line in done.stderr.splitlines() if not line.startswith("{"))
    return line


def test_what_keeps_workers_from_starting_is_said_once(server: ServerProcess, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user_id,item_id,timestamp\n" * 10)
    line = refused(server, "--state", str(path), "--port", "0", "--workers", "2")
    assert line.startswith(f"error: {path}: not a SQLite file")


def test_prometheus_reads_every_worker(server: ServerProcess) -> None:
    with channels(server) as workers:
        for channel in workers.values():
            RecommendationServiceStub(channel).Recommend(QUESTION, timeout=TIMEOUT_S)
    # Each worker has metrics for the supervisor alone; its line has the number of the worker.
    (port,) = (int(str(line["port"])) for line in server.logged("metrics") if "worker" not in line)
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    connection.request("GET", "/metrics")
    families = list(text_string_to_metric_families(connection.getresponse().read().decode()))
    connection.close()
    samples = {family.name: family.samples for family in families}
    assert len(samples) == len(families)
    assert samples["unbraid_workers"][0].value == 2
    assert {each.labels["worker"] for each in samples["unbraid_release"]} == {"1", "2"}
    answered = [each for each in samples["unbraid_calls"] if each.labels["method"].endswith("/Recommend")]
    assert {each.labels["worker"] for each in answered} == {"1", "2"}


TOP = [sys.executable, "-m", "unbraid_cli", "top"]


def test_top_shows_all_workers_and_what_they_do_together(server: ServerProcess) -> None:
    with load(server):
        order = [*TOP, "--server", server.address, "--once", "--interval", "0.5"]
        done = subprocess.run([*order, "--json"], capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
        shown = subprocess.run(order, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    frame = json.loads(done.stdout)
    workers = frame["workers"]
    assert [worker["status"]["worker_number"] for worker in workers] == [1, 2]
    assert {worker["status"]["serving"]["process_id"] for worker in workers} == set(pids(server).values())
    each = [worker["rates"]["calls_per_second"]["OK"] for worker in workers]
    assert min(each) > 0
    assert frame["rates"]["calls_per_second"]["OK"] == pytest.approx(sum(each))
    assert min(worker["rates"]["p50_ms"] for worker in workers) <= frame["rates"]["p50_ms"]
    assert frame["rates"]["p50_ms"] <= max(worker["rates"]["p50_ms"] for worker in workers)
    assert f"{server.address}, 2 of 2 workers" in shown.stdout
    rows = [line.split() for line in shown.stdout.splitlines()]
    assert {int(row[1]) for row in rows if row and row[0] in {"1", "2"}} == set(pids(server).values())


def test_top_goes_on_while_a_worker_is_replaced(server: ServerProcess) -> None:
    order = [*TOP, "--server", server.address, "--interval", "0.1"]
    with subprocess.Popen(order, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        next(line for line in process.stdout if "workers 2 of 2" in line)
        os.kill(pids(server)[1], signal.SIGKILL)
        next(line for line in process.stdout if "workers 1 of 2" in line)
        next(line for line in process.stdout if "workers 2 of 2" in line)
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT_S) == 0


def test_a_change_of_the_catalogue_shows_in_every_worker(server: ServerProcess) -> None:
    with channels(server) as workers:
        deletion = catalogue_pb2.DeleteItemsRequest(item_ids=["c11"])
        CatalogServiceStub(workers[1]).DeleteItems(deletion, timeout=TIMEOUT_S)
        assert status_of(workers[1]).catalogue.replaced_item_count == 1
        until(lambda: status_of(workers[2]).catalogue.replaced_item_count == 1)


def test_two_rebuilds_at_once_are_refused_whichever_workers_they_meet(
    server: ServerProcess, releases: ReleaseStore
) -> None:
    with channels(server) as workers:
        with releases.rebuilding():
            for channel in workers.values():
                with pytest.raises(grpc.RpcError) as caught:
                    list(ReleaseServiceStub(channel).RebuildIndex(release_pb2.RebuildIndexRequest(), timeout=TIMEOUT_S))
                assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        *_, last = ReleaseServiceStub(workers[2]).RebuildIndex(release_pb2.RebuildIndexRequest(), timeout=TIMEOUT_S)
    assert last.result.release_id


def test_every_worker_follows_the_active_release_and_sighup(
    server: ServerProcess, releases: ReleaseStore, tmp_path: Path
) -> None:
    first, second, *_ = sorted(summary.release_id for summary in releases.list())
    missing, aside = releases.root / second / "index.faiss", tmp_path / "aside"
    missing.rename(aside)
    (releases.root / "CURRENT").write_text(f"{second}\n")
    with channels(server) as workers:
        for channel in workers.values():
            until(lambda channel=channel: status_of(channel).last_activation_error.release_id == second)  # type: ignore[misc]
            assert status_of(channel).release.release_id == first
        aside.rename(missing)
        server.process.send_signal(signal.SIGHUP)
        for channel in workers.values():
            until(lambda channel=channel: status_of(channel).release.release_id == second)  # type: ignore[misc]


Calls = dict[int, list[Future[list[grpc.StatusCode]]]]


@contextmanager
def load(server: ServerProcess, *options: tuple[str, str | int], patient: bool = False) -> Iterator[Calls]:
    """Two callers on a connection to each worker, who ask until the block ends; then what each of their calls got.

    A patient caller goes on after a failure, and waits for a connection; another one stops.
    """
    stop = Flag()

    def call_until_stopped(channel: grpc.Channel) -> list[grpc.StatusCode]:
        recommend, codes = RecommendationServiceStub(channel).Recommend, [grpc.StatusCode.OK]
        while not stop.is_set() and (patient or codes[-1] is grpc.StatusCode.OK):
            codes.append(recommend.future(QUESTION, timeout=TIMEOUT_S, wait_for_ready=patient).code())
        return codes[1:]

    with channels(server, *options) as workers, ThreadPoolExecutor(4) as pool:
        try:
            yield {
                number: [pool.submit(call_until_stopped, channel) for _ in range(2)]
                for number, channel in workers.items()
            }
        finally:
            stop.set()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_ends_under_load_is_replaced_and_only_its_calls_in_progress_fail(
    server: ServerProcess, number: signal.Signals
) -> None:
    before = pids(server)
    with load(server, *CHANNEL_OPTIONS) as retried, load(server, WITHOUT_RETRIES, patient=True) as plain:
        os.kill(before[1], number)
        until(lambda: pids(server)[1] != before[1])
    assert pids(server)[2] == before[2]
    last = server.logged("worker ended")[-1]
    assert last["exit_code"] == (-signal.SIGKILL if number is signal.SIGKILL else 0)
    assert {code for calls in retried.values() for call in calls for code in call.result()} == {grpc.StatusCode.OK}
    for call in plain[1]:
        failed = [code for code in call.result() if code is not grpc.StatusCode.OK]
        assert set(failed) <= GONE
        assert len(failed) <= 1
    assert {code for call in plain[2] for code in call.result()} == {grpc.StatusCode.OK}


def test_sigterm_lets_calls_in_progress_finish_in_all_workers(server: ServerProcess) -> None:
    """Every call that a worker answered, going by its log, reached its caller."""
    answered_before = count_answered(server)
    with load(server, WITHOUT_RETRIES) as calls:
        until(lambda: count_answered(server) > answered_before + 20)
        assert server.stop() == 0
    codes = [code for callers in calls.values() for call in callers for code in call.result()]
    assert set(codes) <= GONE | {grpc.StatusCode.OK}
    assert codes.count(grpc.StatusCode.OK) == count_answered(server) - answered_before
    assert server.logged()[-1]["event"] == "stopped"


def count_answered(server: ServerProcess) -> int:
    calls = server.logged("call")
    return sum(str(line["method"]).endswith("/Recommend") and line["code"] == "OK" for line in calls)


def test_workers_leave_when_their_supervisor_is_killed(start: Starter) -> None:
    server = start("--workers", "2")
    workers = pids(server).values()
    server.process.kill()
    server.process.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    assert [line["event"] for line in server.logged()].count("stopped") == 2
