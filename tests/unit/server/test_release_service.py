"""ReleaseService over a socket: list, activate, roll back, rebuild."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from unbraid.v1 import recommendation_pb2, status_pb2
from unbraid.v1 import release_pb2 as pb
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid.v1.release_pb2_grpc import ReleaseServiceStub
from unbraid.v1.status_pb2_grpc import StatusServiceStub
from unbraid_core.errors import Conflict
from unbraid_core.release import ReleaseStore, Staging, open_release, publish_release
from unbraid_core.release.layout import USER_ENCODER
from unbraid_server.active_model import ActiveModel
from unbraid_server.device import Device
from unbraid_server.logs import open_log
from unbraid_server.model import load_model
from unbraid_server.server import SLOW_CALL_THREADS, Server
from unbraid_server.settings import ServerSettings
from unbraid_server.signing import sign_release, write_key_pair
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore

if TYPE_CHECKING:
    from tests.unit.server.conftest import Refused

NOW = datetime(2026, 7, 1, tzinfo=UTC)
TIMEOUT_S = 60.0
QUESTION = recommendation_pb2.RecommendRequest(history=recommendation_pb2.History())

Serve = Callable[..., grpc.Channel]


@pytest.fixture
def store(tmp_path: Path, release_v1: Path) -> ReleaseStore:
    """Four releases, a day apart; the first is active, the last broken."""
    source = open_release(release_v1)
    for day in range(4):
        with Staging(tmp_path / "releases") as staging:
            if day == 3:
                (staging.folder / USER_ENCODER).write_bytes(b"not a model")
            publish_release(
                staging, source, index=source.manifest.index, parent=None, created_time=NOW + timedelta(days=day)
            )
    releases = ReleaseStore(tmp_path / "releases")
    releases.activate(ids(releases)[0], NOW)
    return releases


@pytest.fixture
def serve(store: ReleaseStore, state_v1: SqliteStateStore, unchanged: SqliteCatalogueStore) -> Iterator[Serve]:
    """Starts servers of these releases."""
    started: list[tuple[Server, grpc.Channel]] = []

    def start(**settings: object) -> grpc.Channel:
        given = ServerSettings.model_validate({"port": 0, "releases": store.root, **settings})
        active = ActiveModel(load_model(store.open(), Device.CPU), unchanged)
        server = Server(active, state_v1, given, open_log("critical"))
        channel = grpc.insecure_channel(f"127.0.0.1:{server.start()}")
        started.append((server, channel))
        return channel

    yield start
    for server, channel in started:
        channel.close()
        server.stop(grace_s=0)


@pytest.fixture
def channel(serve: Serve) -> grpc.Channel:
    return serve()


@pytest.fixture
def releases(channel: grpc.Channel) -> ReleaseServiceStub:
    return ReleaseServiceStub(channel)


def ids(store: ReleaseStore) -> list[str]:
    """Oldest first."""
    return sorted(each.release_id for each in store.list())


def answering(channel: grpc.Channel) -> str:
    return RecommendationServiceStub(channel).Recommend(QUESTION, timeout=TIMEOUT_S).release_id


def test_releases_are_listed_page_by_page(releases: ReleaseServiceStub, store: ReleaseStore) -> None:
    (store.root / ids(store)[1] / "index.faiss").unlink()
    whole = releases.ListReleases(pb.ListReleasesRequest())
    assert [each.release_id for each in whole.releases] == ids(store)[::-1]
    assert (whole.next_page_token, whole.release_id) == ("", ids(store)[0])
    page = releases.ListReleases(pb.ListReleasesRequest(page_size=3))
    rest = releases.ListReleases(pb.ListReleasesRequest(page_size=3, page_token=page.next_page_token))
    seen = [*page.releases, *rest.releases]
    assert (len(page.releases), rest.next_page_token) == (3, "")
    assert seen == list(whole.releases)
    assert [each.active for each in seen] == [False, False, False, True]
    assert [bool(each.problem) for each in seen] == [False, False, True, False]
    assert seen[0].created_time.ToDatetime(UTC) == NOW + timedelta(days=3)
    assert seen[0].size_bytes == store.list()[0].size_bytes


@pytest.mark.parametrize("request_", [{"page_size": -1}, {"page_token": "yesterday"}])
def test_a_page_that_cannot_be_had_is_refused(
    releases: ReleaseServiceStub, refused: Refused, request_: dict[str, int | str]
) -> None:
    [field] = request_
    refusal = refused(lambda: releases.ListReleases(pb.ListReleasesRequest(**request_)))  # type: ignore[arg-type]  # mixed
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.info.metadata["field"] == field


def test_an_activation_returns_when_the_server_answers_from_the_release(
    channel: grpc.Channel, releases: ReleaseServiceStub, store: ReleaseStore
) -> None:
    first, second, *_ = ids(store)
    activated = releases.ActivateRelease(pb.ActivateReleaseRequest(release_id=second), timeout=TIMEOUT_S)
    assert (activated.release_id, activated.previous_release_id) == (second, first)
    assert answering(channel) == store.current_id() == second
    back = releases.RollbackRelease(pb.RollbackReleaseRequest(active_release_id=second), timeout=TIMEOUT_S)
    assert (back.release_id, back.previous_release_id) == (first, second)
    assert answering(channel) == first


def test_what_cannot_be_activated_leaves_the_last_good_release(
    channel: grpc.Channel, releases: ReleaseServiceStub, store: ReleaseStore, refused: Refused
) -> None:
    first, second, _, broken = ids(store)
    (store.root / second / "index.faiss").write_bytes(b"")
    for release_id, code, reason in (
        ("nowhere", grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
        (second, grpc.StatusCode.DATA_LOSS, "INTEGRITY"),
        (broken, grpc.StatusCode.FAILED_PRECONDITION, "INCOMPATIBLE"),
    ):
        order = pb.ActivateReleaseRequest(release_id=release_id)
        refusal = refused(lambda order=order: releases.ActivateRelease(order, timeout=TIMEOUT_S))  # type: ignore[misc]
        assert (refusal.code, refusal.info.reason) == (code, reason)
        assert release_id in refusal.message
    assert answering(channel) == store.current_id() == first


def test_a_rollback_names_what_it_leaves_so_that_it_happens_once(
    releases: ReleaseServiceStub, store: ReleaseStore, refused: Refused
) -> None:
    first, second, third, _ = ids(store)
    for release_id in (second, third):
        store.activate(release_id, NOW)
    order = pb.RollbackReleaseRequest(active_release_id=third)
    assert releases.RollbackRelease(order, timeout=TIMEOUT_S).release_id == second
    assert refused(lambda: releases.RollbackRelease(order)).code is grpc.StatusCode.FAILED_PRECONDITION
    nothing = refused(lambda: releases.RollbackRelease(pb.RollbackReleaseRequest()))
    assert nothing.info.metadata["field"] == "active_release_id"
    assert store.current_id() == second
    assert store.previous_id() == first


def test_a_rebuild_tells_how_far_it_is_while_others_are_answered_and_ends_with_its_result(
    channel: grpc.Channel, releases: ReleaseServiceStub, store: ReleaseStore
) -> None:
    first, *_ = ids(store)
    *progress, last = [
        (each.WhichOneof("event"), each, answering(channel))
        for each in releases.RebuildIndex(pb.RebuildIndexRequest(activate=True), timeout=TIMEOUT_S)
    ]
    assert {kind for kind, *_ in progress} == {"progress"}
    assert progress[-1][1].progress.done_count == progress[-1][1].progress.total_count > 0
    result = last[1].result
    assert (result.parent, result.active) == (first, True)
    assert answering(channel) == result.release_id == store.current_id()
    assert store.manifest().parent == first


def test_a_rebuild_without_activation_is_only_published(releases: ReleaseServiceStub, store: ReleaseStore) -> None:
    first, second, *_ = ids(store)
    order = pb.RebuildIndexRequest(release_id=second)
    *_, last = releases.RebuildIndex(order, timeout=TIMEOUT_S)
    assert (last.result.parent, last.result.active) == (second, False)
    assert store.current_id() == first
    assert store.open(last.result.release_id).manifest.parent == second


def test_errors_of_a_rebuild_reach_the_caller(
    releases: ReleaseServiceStub, store: ReleaseStore, refused: Refused
) -> None:
    def rebuild(order: pb.RebuildIndexRequest) -> Callable[[], object]:
        return lambda: list(releases.RebuildIndex(order, timeout=TIMEOUT_S))

    unknown = refused(rebuild(pb.RebuildIndexRequest(release_id="nowhere")))
    assert (unknown.code, unknown.info.reason) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    impossible = refused(rebuild(pb.RebuildIndexRequest(recall=1.0000001)))
    assert impossible.message.startswith("recall: 1.0000001 is out of range")
    with store.rebuilding():
        second = refused(rebuild(pb.RebuildIndexRequest()))
    assert second.code is grpc.StatusCode.FAILED_PRECONDITION
    assert f"process {os.getpid()} rebuilds a release already" in second.message
    broken = refused(rebuild(pb.RebuildIndexRequest(release_id=ids(store)[-1])))
    assert (broken.code, broken.info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "INCOMPATIBLE")


def test_releases_are_listed_while_all_threads_for_slow_calls_have_work(
    releases: ReleaseServiceStub, store: ReleaseStore
) -> None:
    order = pb.ActivateReleaseRequest(release_id=ids(store)[1])
    with store.locked():
        waiting = [releases.ActivateRelease.future(order, timeout=TIMEOUT_S) for _ in range(SLOW_CALL_THREADS)]
        # The first of these may come before the others have reached their threads.
        for _ in range(10):
            assert len(releases.ListReleases(pb.ListReleasesRequest()).releases) == 4
        assert not any(call.done() for call in waiting)
    assert [call.result().release_id for call in waiting] == [order.release_id] * len(waiting)


def test_a_cancelled_rebuild_ends(releases: ReleaseServiceStub, store: ReleaseStore) -> None:
    before = ids(store)
    call = releases.RebuildIndex(pb.RebuildIndexRequest(), timeout=TIMEOUT_S)
    next(call)
    call.cancel()
    while not _is_free(store):
        pass
    assert ids(store) == before
    with Staging(store.root):
        pass
    assert list(store.root.glob(".staging-*")) == []


def _is_free(store: ReleaseStore) -> bool:
    try:
        with store.rebuilding():
            return True
    except Conflict:
        return False


def test_a_server_that_trusts_a_key_activates_nothing_else(
    serve: Serve, store: ReleaseStore, refused: Refused, tmp_path: Path
) -> None:
    first, second, third, _ = ids(store)
    write_key_pair(tmp_path / "key", tmp_path / "key.pub")
    for release_id in (first, second):
        sign_release(store.root / release_id, tmp_path / "key")
    releases = ReleaseServiceStub(serve(public_key=tmp_path / "key.pub"))
    order = pb.ActivateReleaseRequest(release_id=third)
    assert "a signature is demanded" in refused(lambda: releases.ActivateRelease(order)).message
    order = pb.ActivateReleaseRequest(release_id=second)
    assert releases.ActivateRelease(order, timeout=TIMEOUT_S).release_id == second
    rebuild = pb.RebuildIndexRequest(activate=True)
    assert "a signature is demanded" in refused(lambda: list(releases.RebuildIndex(rebuild, timeout=TIMEOUT_S))).message
    assert store.current_id() == second


def test_a_server_that_others_can_reach_changes_nothing(serve: Serve, store: ReleaseStore, refused: Refused) -> None:
    channel = serve(host="0.0.0.0", insecure=True)
    releases = ReleaseServiceStub(channel)
    calls: list[Callable[[], object]] = [
        lambda: releases.ListReleases(pb.ListReleasesRequest()),
        lambda: releases.ActivateRelease(pb.ActivateReleaseRequest(release_id=ids(store)[1])),
        lambda: releases.RollbackRelease(pb.RollbackReleaseRequest(active_release_id=ids(store)[0])),
        lambda: list(releases.RebuildIndex(pb.RebuildIndexRequest())),
    ]
    for call in calls:
        assert "not authenticated" in refused(call).message
    assert StatusServiceStub(channel).GetStatus(status_pb2.GetStatusRequest()).release.release_id == ids(store)[0]
