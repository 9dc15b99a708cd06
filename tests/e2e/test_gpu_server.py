"""``unbraid serve`` on a GPU: it answers as on the CPU, whatever is set, and says in one line what it cannot have."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1 import release_pb2, status_pb2
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid.v1.release_pb2_grpc import ReleaseServiceStub
from unbraid.v1.status_pb2_grpc import StatusServiceStub

if TYPE_CHECKING:
    from tests.e2e.conftest import ServerProcess, Starter

pytestmark = pytest.mark.gpu

TIMEOUT_S = 60.0
QUESTIONS = [
    pb.RecommendRequest(
        history=pb.History(
            events=[
                pb.Event(item_id=f"k{(first + 5 * i) % 12:02}", event_time=Timestamp(seconds=1_700_000_000 + i))
                for i in range(length)
            ]
        ),
        limit=limit,
        as_of_time=Timestamp(seconds=1_700_001_000),
        seen_items=pb.SEEN_ITEMS_INCLUDE,
    )
    for first, length, limit in [(0, 1, 5), (3, 6, 20), (5, 40, 10), (7, 2, 24), (1, 17, 3)]
]


def answers(server: ServerProcess, times: int = 1) -> list[pb.RecommendResponse]:
    """To all questions, asked by eight threads at once."""
    with grpc.insecure_channel(server.address) as channel, ThreadPoolExecutor(8) as pool:
        recommend = RecommendationServiceStub(channel).Recommend
        return [*pool.map(lambda question: recommend(question, timeout=TIMEOUT_S), QUESTIONS * times)]


@pytest.fixture(scope="module")
def on_cpu(start_for_all: Starter, releases_v1: Path) -> Iterator[list[pb.RecommendResponse]]:
    """What the CPU answers."""
    server = start_for_all("--releases", str(releases_v1), "--device", "cpu")
    yield answers(server)
    server.stop()


@pytest.mark.parametrize(
    "flags",
    [[], ["--cuda-graphs"], ["--retrieval", "index"], ["--gpu-memory-mb", "512"]],
    ids=["plain", "graphs", "index", "memory"],
)
def test_a_gpu_answers_like_the_cpu(
    start_for_all: Starter, releases_v1: Path, on_cpu: list[pb.RecommendResponse], flags: list[str]
) -> None:
    server = start_for_all("--releases", str(releases_v1), "--device", "cuda", *flags)
    for position, answer in enumerate(answers(server, times=20)):
        expected = on_cpu[position % len(on_cpu)].recommendations
        assert [each.item_id for each in answer.recommendations] == [each.item_id for each in expected]
        scores = [each.score for each in answer.recommendations]
        assert scores == pytest.approx([each.score for each in expected], abs=1e-5)
    with grpc.insecure_channel(server.address) as channel:
        device = StatusServiceStub(channel).GetStatus(status_pb2.GetStatusRequest()).device
    assert (device.requested, device.active) == ("cuda", "cuda")
    assert device.retrieval == ("index" if "index" in flags else "device")
    assert server.stop() == 0


def test_a_release_is_taken_over_on_a_gpu_while_it_answers(start: Starter) -> None:
    server = start("--device", "cuda")
    with grpc.insecure_channel(server.address) as channel, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(answers, server, 200)
        activate = ReleaseServiceStub(channel).ActivateRelease
        for _ in range(5):
            activate(release_pb2.ActivateReleaseRequest(release_id=server.release_id), timeout=TIMEOUT_S)
        assert {answer.release_id for answer in asked.result()} == {server.release_id}
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--gpu-id", "99"], "there is no GPU 99"),
        (["--tensorrt-cache", "engines"], "tensorrt_cache: TensorRT was demanded, but "),
    ],
)
def test_what_the_gpu_cannot_give_is_one_clear_line(
    releases_v1: Path, tmp_path: Path, flags: list[str], problem: str
) -> None:
    command = [sys.executable, "-m", "unbraid_cli", "serve", "--releases", str(releases_v1), "--port", "0"]
    done = subprocess.run(
        [*command, "--device", "cuda", *flags], cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert problem in errors[0]
    assert "Traceback" not in done.stderr
