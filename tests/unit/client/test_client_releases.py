"""Releases through both clients, of a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from unbraid_client import (
    Activation,
    AsyncUnbraidClient,
    Conflict,
    NotFound,
    RebuildProgress,
    RebuildResult,
    UnbraidClient,
)
from unbraid_core.release import ReleaseStore, Staging, open_release, publish_release
from unbraid_server.active_model import ActiveModel
from unbraid_server.device import Device
from unbraid_server.logs import open_log
from unbraid_server.model import load_model
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore

NOW = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path, release_v1: Path) -> ReleaseStore:
    """Two releases, a day apart; the first is active."""
    source = open_release(release_v1)
    for day in (0, 1):
        with Staging(tmp_path / "releases") as staging:
            created_time = NOW + timedelta(days=day)
            publish_release(staging, source, index=source.manifest.index, parent=None, created_time=created_time)
    releases = ReleaseStore(tmp_path / "releases")
    releases.activate(releases.list()[1].release_id, NOW)
    return releases


@pytest.fixture
def target(store: ReleaseStore, state_v1: SqliteStateStore, unchanged: SqliteCatalogueStore) -> Iterator[str]:
    active = ActiveModel(load_model(store.open(), Device.CPU), unchanged)
    server = Server(active, state_v1, ServerSettings(port=0, releases=store.root), open_log("critical"))
    yield f"127.0.0.1:{server.start()}"
    server.stop(grace_s=0)


def blocking(target: str, method: str, *arguments: Any, **options: Any) -> Any:
    with UnbraidClient(target) as client:
        answer = getattr(client, method)(*arguments, **options)
        return list(answer) if method == "rebuild_index" else answer


def with_asyncio(target: str, method: str, *arguments: Any, **options: Any) -> Any:
    async def awaited() -> Any:
        async with AsyncUnbraidClient(target) as client:
            answer = getattr(client, method)(*arguments, **options)
            return [news async for news in answer] if method == "rebuild_index" else await answer

    return asyncio.run(awaited())


@pytest.mark.parametrize("call", [blocking, with_asyncio])
def test_releases_are_listed_activated_rolled_back_and_rebuilt(target: str, store: ReleaseStore, call: Any) -> None:
    second, first = (summary.release_id for summary in store.list())
    page = call(target, "list_releases", page_size=1)
    assert (page.release_id, page.next_page_token) == (first, second)
    [newest] = page.releases
    assert (newest.release_id, newest.active, newest.created_time) == (second, False, NOW + timedelta(days=1))
    assert (newest.parent, newest.problem) == (None, None)
    assert newest.size_bytes == store.list()[0].size_bytes
    assert call(target, "activate_release", second) == Activation(second, first)
    assert call(target, "rollback_release", second) == Activation(first, second)
    *progress, result = call(target, "rebuild_index", second, activate=True)
    assert {type(news) for news in progress} == {RebuildProgress}
    assert result == RebuildResult(store.current_id() or "", second, active=True)
    with pytest.raises(NotFound, match="no release 'nowhere'"):
        call(target, "activate_release", "nowhere")
    with store.rebuilding(), pytest.raises(Conflict, match="rebuilds a release already"):
        call(target, "rebuild_index")
