"""A small shop, with two releases that say that they were trained on what fifty people bought; and a guarded server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from unbraid_core.release import (
    IndexSpec,
    Release,
    ReleaseStore,
    Staging,
    TrainingRecord,
    open_export,
    open_release,
    publish_export,
    publish_release,
)
from unbraid_core.release.layout import EXPORT_FILES, INDEX
from unbraid_core.types import Scoring
from unbraid_server.access_file import RoleName, add_grant, issue_token
from unbraid_server.active_model import ActiveModel
from unbraid_server.device import Device
from unbraid_server.logs import open_log
from unbraid_server.model import load_model
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.folder import read_dataset, write_dataset
from unbraid_training.data.splits import parse_split

if TYPE_CHECKING:
    from tests.unit.conftest import Authority

FIRST_DAY, SECOND_DAY = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)
SPLIT = "last-4"
ROLES: tuple[RoleName, ...] = ("read", "write", "admin")


@dataclass(frozen=True)
class Shop:
    """A folder of data, an active release of them, and another one that puts more weight on popularity."""

    data: Path
    releases: Path
    split: str
    release_id: str
    other_release_id: str


@pytest.fixture(scope="session")
def shoppers(release_v1: Path) -> Dataset:
    """Fifty people who buy things for the kitchen, or for the bicycle, and one in five times the other."""
    rng = np.random.default_rng(3)
    user_E = np.repeat(np.arange(50), 16)
    kind_E = (user_E + (rng.random(len(user_E)) < 0.2)) % 2
    row_E = 12 * kind_E + rng.integers(12, size=len(user_E))
    time_s_E = (1_700_000_000 + rng.integers(100 * 86_400, size=len(user_E))).astype(np.float64)
    catalogue = open_release(release_v1).catalogue
    users = [f"shopper {user}" for user in range(50)]
    action_E = rng.integers(1, 3, len(user_E))
    return Dataset.of(catalogue, users, ["", "view", "purchase"], user_E, row_E, time_s_E, action_E)


@pytest.fixture(scope="session")
def shop(shoppers: Dataset, release_v1: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    root = tmp_path_factory.mktemp("shop")
    write_dataset(shoppers, root / "data")
    train = parse_split(SPLIT).apply(read_dataset(root / "data")[0]).train
    training = TrainingRecord(
        split=SPLIT,
        seed=1,
        event_count=len(train),
        user_count=50,
        last_event_time=datetime.fromtimestamp(float(train.time_s_E.max()), UTC),
        data_sha256=train.sha256(),
        validation={},
    )
    source = open_release(release_v1)
    release_id = publish(source, root, training, source.manifest.scoring, FIRST_DAY)
    popular = replace(source.manifest.scoring, gamma=source.manifest.scoring.gamma + 3.0)
    other_release_id = publish(source, root, training, popular, SECOND_DAY)
    ReleaseStore(root / "releases").activate(release_id, SECOND_DAY)
    return Shop(root / "data", root / "releases", SPLIT, release_id, other_release_id)


def publish(source: Release, root: Path, training: TrainingRecord, scoring: Scoring, created_time: datetime) -> str:
    """The content of a release, with another training record and score."""
    with Staging(root) as staging:
        for name in EXPORT_FILES:
            shutil.copyfile(source.path(name), staging.folder / name)
        publish_export(
            staging,
            f"export-{created_time:%d}",
            space_id=source.manifest.space_id,
            created_time=created_time,
            encoder=source.manifest.encoder,
            half_life_s=source.manifest.half_life_s,
            scoring=scoring,
            training=training,
        )
    with Staging(root / "releases") as staging:
        shutil.copyfile(source.path(INDEX), staging.folder / INDEX)
        index = IndexSpec(family="flat", search_params={}, recall_at=10, recall=1.0, query_source="item vectors")
        manifest = publish_release(
            staging,
            open_export(root / f"export-{created_time:%d}"),
            index=index,
            parent=None,
            created_time=created_time,
        )
    return manifest.release_id


@dataclass(frozen=True)
class Guarded:
    """A server with TLS that lets nobody in without a token, and how commands reach it."""

    target: str
    folder: Path
    tokens: Mapping[str, str]

    def environment(self, role: str | None) -> dict[str, str]:
        """What makes a command somebody with this role, or nobody."""
        token = {} if role is None else {"UNBRAID_TOKEN": self.tokens[role]}
        return {"UNBRAID_CA": str(self.folder / "ca.pem"), **token}


@pytest.fixture
def guard(
    authority: Authority, state_v1: SqliteStateStore, unchanged: SqliteCatalogueStore, tmp_path: Path
) -> Iterator[Callable[[Path], Guarded]]:
    """Starts a guarded server of the active release of a folder."""
    started: list[Server] = []

    def start(releases: Path) -> Guarded:
        (tmp_path / "ca.pem").write_bytes(authority.certificate)
        certificate, key = authority.issue("unbraid.test").write(tmp_path, "server")
        tokens: dict[str, str] = {}
        for role in ROLES:
            tokens[role], grant = issue_token(role, role, None)
            add_grant(tmp_path / "access.toml", grant)
        settings = ServerSettings(
            port=0,
            releases=releases,
            tls_certificate=certificate,
            tls_key=key,
            access_file=tmp_path / "access.toml",
        )
        model = load_model(ReleaseStore(releases).open(), Device.CPU)
        server = Server(ActiveModel(model, unchanged), state_v1, settings, open_log("critical"))
        started.append(server)
        return Guarded(f"localhost:{server.start()}", tmp_path, tokens)

    yield start
    for server in started:
        server.stop(grace_s=0)
