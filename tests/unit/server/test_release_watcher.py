"""A running server takes over what is activated, under load, and refuses what it cannot use."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event as Flag

import grpc
import pytest

from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1 import status_pb2
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid.v1.status_pb2_grpc import StatusServiceStub
from unbraid_core.catalogue import Catalogue
from unbraid_core.release import ReleaseStore, Staging, open_release, publish_release
from unbraid_core.release.layout import CATALOGUE, USER_ENCODER
from unbraid_server.active_model import ActiveModel
from unbraid_server.device import Device
from unbraid_server.logs import open_log
from unbraid_server.model import load_model
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore

NOW = datetime(2026, 7, 1, tzinfo=UTC)
TIMEOUT_S = 30.0
QUESTION = pb.RecommendRequest(history=pb.History(), limit=20)


@pytest.fixture
def store(tmp_path: Path, release_v1: Path) -> ReleaseStore:
    """Three releases whose items have the number of their release as title; the first is active, the last broken."""
    source = open_release(release_v1)
    for number in range(3):
        with Staging(tmp_path / "releases") as staging:
            titled = Catalogue.of(source.catalogue.item_ids, [str(number)] * len(source.catalogue))
            titled.write(staging.folder / CATALOGUE)
            if number == 2:
                (staging.folder / USER_ENCODER).write_bytes(b"not a model")
            publish_release(
                staging, source, index=source.manifest.index, parent=None, created_time=NOW + timedelta(days=number)
            )
    releases = ReleaseStore(tmp_path / "releases")
    releases.activate(ids(releases)[0], NOW)
    return releases


@pytest.fixture
def channel(store: ReleaseStore, state_v1: SqliteStateStore, unchanged: SqliteCatalogueStore) -> Iterator[grpc.Channel]:
    """To a server of these releases."""
    active = ActiveModel(load_model(store.open(), Device.CPU), unchanged)
    server = Server(active, state_v1, ServerSettings(port=0, releases=store.root), open_log("critical"))
    with grpc.insecure_channel(f"127.0.0.1:{server.start()}") as opened:
        yield opened
    server.stop(grace_s=0)


def ids(store: ReleaseStore) -> list[str]:
    return sorted(each.release_id for each in store.list())


def answer_of(channel: grpc.Channel) -> pb.RecommendResponse:
    return RecommendationServiceStub(channel).Recommend(QUESTION, timeout=TIMEOUT_S)


def status_of(channel: grpc.Channel) -> status_pb2.GetStatusResponse:
    return StatusServiceStub(channel).GetStatus(status_pb2.GetStatusRequest(), timeout=TIMEOUT_S)


def wait_for_release(channel: grpc.Channel, release_id: str) -> None:
    while answer_of(channel).release_id != release_id:
        pass


def wait_for_refusal(channel: grpc.Channel, release_id: str) -> status_pb2.ActivationError:
    while status_of(channel).last_activation_error.release_id != release_id:
        pass
    return status_of(channel).last_activation_error


@pytest.mark.timeout(60)
def test_no_call_fails_or_mixes_releases_while_they_are_swapped(channel: grpc.Channel, store: ReleaseStore) -> None:
    number_of = {release_id: str(number) for number, release_id in enumerate(ids(store))}
    enough = Flag()

    def call_until_enough() -> set[tuple[str, frozenset[str]]]:
        seen = set()
        while not enough.is_set():
            answer = answer_of(channel)
            seen.add((answer.release_id, frozenset(item.title for item in answer.recommendations)))
        return seen

    first, second, _ = ids(store)
    with ThreadPoolExecutor(4) as pool:
        callers = [pool.submit(call_until_enough) for _ in range(4)]
        for release_id in (second, first) * 3:
            store.activate(release_id, NOW)
            wait_for_release(channel, release_id)
        enough.set()
        seen = set().union(*(caller.result() for caller in callers))
    assert seen == {(release_id, frozenset([number_of[release_id]])) for release_id in (first, second)}


@pytest.mark.timeout(60)
def test_a_release_that_cannot_be_used_is_refused_and_the_last_good_one_answers(
    channel: grpc.Channel, store: ReleaseStore
) -> None:
    first, second, broken = ids(store)
    assert not status_of(channel).HasField("last_activation_error")
    store.activate(broken, NOW)
    error = wait_for_refusal(channel, broken)
    assert (error.reason, "user_encoder.onnx" in error.message) == ("INCOMPATIBLE", True)
    assert answer_of(channel).release_id == first
    store.activate(second, NOW)
    wait_for_release(channel, second)
    while status_of(channel).HasField("last_activation_error"):  # the first answers come a moment before it is cleared
        pass


@pytest.mark.timeout(60)
def test_a_refused_release_is_tried_again_when_it_is_activated_again(
    channel: grpc.Channel, store: ReleaseStore
) -> None:
    _, second, _ = ids(store)
    index = store.root / second / "index.faiss"
    sound = index.read_bytes()

    def damage(_: Path) -> None:
        index.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))

    store.activate(second, NOW, probe=damage)  # the last thing before it becomes active
    error = wait_for_refusal(channel, second)
    assert error.reason == "INTEGRITY"
    assert error.message.startswith(f"{second}/index.faiss: expected sha256")
    index.write_bytes(sound)
    store.activate(second, NOW)
    wait_for_release(channel, second)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("content", ["", "../elsewhere\n", "gone\n", "\x00\xff"])
def test_a_current_that_names_no_release_is_refused(channel: grpc.Channel, store: ReleaseStore, content: str) -> None:
    first, *_ = ids(store)
    (store.root / "CURRENT").write_text(content)
    while not status_of(channel).HasField("last_activation_error"):
        pass
    assert status_of(channel).last_activation_error.reason in ("INTEGRITY", "NOT_FOUND")
    assert answer_of(channel).release_id == first


def test_a_current_that_disappears_changes_nothing(channel: grpc.Channel, store: ReleaseStore) -> None:
    first, *_ = ids(store)
    (store.root / "CURRENT").unlink()
    assert answer_of(channel).release_id == first
