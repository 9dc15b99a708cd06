"""``unbraid serve`` as a process of its own, called over a loopback socket."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1 import status_pb2
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid.v1.status_pb2_grpc import StatusServiceStub
from unbraid_core.ports import Event, UserEvent
from unbraid_core.release import ReleaseStore, Staging, open_release, publish_release
from unbraid_server.sqlite_state import SqliteStateStore

if TYPE_CHECKING:
    from tests.e2e.conftest import Starter

UNBRAID = [sys.executable, "-m", "unbraid_cli"]
TIMEOUT_S = 60.0
GONE = {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}


def refused(*arguments: str) -> str:
    """What a server that does not start says, after a check that it is one line and exit code 2."""
    done = subprocess.run(
        [*UNBRAID, "serve", *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_server_starts_answers_says_what_it_decided_and_stops(start: Starter, tmp_path: Path) -> None:
    store = SqliteStateStore(tmp_path / "state.db")
    store.append(UserEvent("u", Event(item_id, float(i))) for i, item_id in enumerate(["k00", "k01", "c05"]))
    store.close()
    server = start()
    with grpc.insecure_channel(server.address) as channel:
        answer = RecommendationServiceStub(channel).Recommend(pb.RecommendRequest(user_id="u", limit=5))
        status = StatusServiceStub(channel).GetStatus(status_pb2.GetStatusRequest())
    assert (answer.release_id, len(answer.recommendations)) == (server.release_id, 5)
    assert answer.basis == pb.ANSWER_BASIS_INTERESTS
    assert (status.user_count, status.device.requested) == (1, "auto")
    assert server.stop() == 0
    serving, draining, stopped = server.logged()
    assert (serving["event"], draining["event"], stopped["event"]) == ("serving", "draining", "stopped")
    assert serving["release_id"] == server.release_id
    assert {"device_reason", "provider_options", "index", "encoder_threads", "faiss_threads", "batch_limit"} <= set(
        serving
    )


def test_ctrl_c_stops_too(start: Starter) -> None:
    assert start().stop(signal.SIGINT) == 0


def test_sigterm_lets_calls_in_progress_finish(start: Starter) -> None:
    """Every call that the server answered, going by its log, reached its caller."""
    server = start("--batch-limit", "2", UNBRAID_LOG_LEVEL="debug")
    events = [pb.Event(item_id=f"k{i % 12:02}", event_time=Timestamp(seconds=i + 1)) for i in range(2_000)]
    request = pb.RecommendRequest(history=pb.History(events=events), limit=20)

    def call_until_refused(channel: grpc.Channel) -> int:
        stub = RecommendationServiceStub(channel)
        for answered_count in count():
            call = stub.Recommend.future(request, timeout=TIMEOUT_S)
            if call.code() in GONE:
                return answered_count
            assert call.code() is grpc.StatusCode.OK
            if answered_count == 5:
                server.process.send_signal(signal.SIGTERM)
        raise AssertionError

    # A pool of its own for each channel: otherwise gRPC would put all calls on one connection.
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.insecure_channel(server.address, options=options) for _ in range(6)]
    with ThreadPoolExecutor(len(channels)) as pool:
        answered_count = sum(pool.map(call_until_refused, channels))
    assert server.process.wait(TIMEOUT_S) == 0
    finished = [line for line in server.logged() if line.get("code") == "OK"]
    assert answered_count == len(finished) >= 5


@pytest.mark.no_gpu
def test_cuda_without_a_gpu_is_one_clear_line(releases_v1: Path, tmp_path: Path) -> None:
    line = refused("--releases", str(releases_v1), "--state", str(tmp_path / "s.db"), "--port", "0", "--device", "cuda")
    assert re.search(r"cuda was demanded, but .+; use --device auto or --device cpu", line)


def test_an_address_that_others_can_reach_needs_insecure(releases_v1: Path) -> None:
    assert "--insecure" in refused("--releases", str(releases_v1), "--host", "0.0.0.0")


def test_no_active_release_is_said(tmp_path: Path) -> None:
    assert "no release is active" in refused("--releases", str(tmp_path), "--state", str(tmp_path / "s.db"))


def test_a_state_file_of_something_else_is_said(releases_v1: Path, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user_id,item_id,timestamp\n" * 10)
    assert "not a SQLite file" in refused("--releases", str(releases_v1), "--state", str(path), "--port", "0")


def test_a_port_that_is_taken_is_said(releases_v1: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = refused("--releases", str(releases_v1), "--state", str(tmp_path / "s.db"), "--port", port)
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in line


def test_a_host_that_is_not_this_machine_is_said(releases_v1: Path, tmp_path: Path) -> None:
    folders = ["--releases", str(releases_v1), "--state", str(tmp_path / "s.db")]
    line = refused(*folders, "--host", "192.0.2.1", "--port", "0", "--insecure")
    assert "cannot listen on 192.0.2.1:0: Cannot assign requested address" in line


def test_sighup_makes_a_server_try_again_what_it_refused(start: Starter, release_v1: Path, tmp_path: Path) -> None:
    root = tmp_path / "releases"
    source = open_release(release_v1)
    for day in (1, 2):
        with Staging(root) as staging:
            created_time = datetime(2026, 3, day, tzinfo=UTC)
            publish_release(staging, source, index=source.manifest.index, parent=None, created_time=created_time)
    store = ReleaseStore(root)
    second, first = (summary.release_id for summary in store.list())
    store.activate(first, datetime.now(UTC))
    server = start("--releases", str(root))
    missing, aside = root / second / "index.faiss", tmp_path / "aside"
    missing.rename(aside)
    (root / "CURRENT").write_text(f"{second}\n")
    with grpc.insecure_channel(server.address) as channel:
        stub = StatusServiceStub(channel)
        while stub.GetStatus(status_pb2.GetStatusRequest()).last_activation_error.release_id != second:
            pass
        aside.rename(missing)
        server.process.send_signal(signal.SIGHUP)
        while stub.GetStatus(status_pb2.GetStatusRequest()).release.release_id != second:
            pass
    assert server.stop() == 0
    events = [line["event"] for line in server.logged()]
    assert events == ["serving", "release refused", "release taken over", "draining", "stopped"]
