"""Fixtures that several parts of the suite share: the committed release, a model of it, and a server that answers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import grpc
import hypothesis
import pytest

from unbraid_core.release import ReleaseStore, open_release
from unbraid_server.device import Device
from unbraid_server.logs import open_log
from unbraid_server.model import Model, load_model
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_state import SqliteStateStore

# A console keeps the COLUMNS that it was made under. Made without, it follows what each test sets.
os.environ.pop("COLUMNS", None)
import_module("unbraid_cli.console")

# A busy machine takes its time over an example; what has to be fast is measured, not tested.
hypothesis.settings.register_profile("unbraid", deadline=None)
hypothesis.settings.load_profile("unbraid")

RELEASE_V1 = Path(__file__).parent / "fixtures" / "release-v1"


@pytest.fixture(scope="session")
def release_v1() -> Path:
    """The committed release of format version 1: 24 items, K=2, D=8. Read it, never write there."""
    return RELEASE_V1


@pytest.fixture(scope="session")
def releases_v1(release_v1: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of releases in which that release is active."""
    root = tmp_path_factory.mktemp("releases")
    release_id = open_release(release_v1).manifest.release_id
    shutil.copytree(release_v1, root / release_id)
    ReleaseStore(root).activate(release_id, datetime(2026, 1, 2, tzinfo=UTC))
    return root


@pytest.fixture(scope="session")
def model_v1(release_v1: Path) -> Model:
    """That release, ready to answer on the CPU."""
    return load_model(open_release(release_v1), Device.CPU)


@pytest.fixture(scope="session")
def state_v1(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStateStore]:
    """The state store of ``channel_v1``; tests add users under names of their own."""
    store = SqliteStateStore(tmp_path_factory.mktemp("state") / "state.db")
    yield store
    store.close()


@pytest.fixture(scope="session")
def channel_v1(model_v1: Model, state_v1: SqliteStateStore) -> Iterator[grpc.Channel]:
    """A channel over a real socket to a server of that release in this process."""
    server = Server(model_v1, state_v1, ServerSettings(port=0, threads=2), open_log("error"))
    port = server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    server.stop(grace_s=0)
