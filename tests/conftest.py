"""Fixtures that several parts of the suite share: the committed release, a model of it, and a server that answers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import grpc
import hypothesis
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from unbraid_core.factors import Factors
from unbraid_core.features import FEATURE_NAMES
from unbraid_core.item_statistics import STATISTIC_NAMES, ItemStatistics
from unbraid_core.neighbours import Neighbours
from unbraid_core.ranker_inputs import RankerInputs
from unbraid_core.release import (
    RankerSpec,
    ReleaseStore,
    Staging,
    open_export,
    open_release,
    publish_export,
    publish_release,
)
from unbraid_core.release.layout import EXPORT_FILES, INDEX, RANKER
from unbraid_core.release.ranker import write_ranker_inputs
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

RANKER_WEIGHTS = {"interest_standard": 1.0, "own_count": 0.5, "log_popularity_30d": 0.25}

RELEASE_V1 = Path(__file__).parent / "fixtures" / "release-v1"


@pytest.fixture(scope="session")
def release_v1() -> Path:
    """The committed release of format version 1: 24 items, K=2, D=8. Read it, never write there."""
    return RELEASE_V1


@pytest.fixture(scope="session")
def release_learned(release_v1: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed release with a ranker whose log odds are a weighted sum of features. Read it, never write there."""
    root = tmp_path_factory.mktemp("learned")
    source = open_release(release_v1)
    manifest, item_count = source.manifest, len(source.catalogue)
    inputs = _ranker_inputs(item_count)
    with Staging(root) as staging:
        for name in EXPORT_FILES:
            shutil.copyfile(source.path(name), staging.folder / name)
        write_ranker_inputs(inputs, staging.folder)
        (staging.folder / RANKER).write_bytes(_linear_ranker())
        publish_export(
            staging,
            "export",
            space_id=manifest.space_id,
            created_time=manifest.created_time,
            encoder=manifest.encoder,
            half_life_s=manifest.half_life_s,
            scoring=manifest.scoring,
            training=manifest.training,
            ranker=RankerSpec(
                features=list(FEATURE_NAMES),
                tree_count=1,
                depth=inputs.depth,
                neighbour_half_life_s=inputs.neighbours.half_life_s,
                common_user_count=2,
                factor_confidence=inputs.factors.confidence,
                factor_regularisation=inputs.factors.regularisation,
                parity_max_difference=0.0,
            ),
        )
    with Staging(root) as staging:
        shutil.copyfile(source.path(INDEX), staging.folder / INDEX)
        published = publish_release(
            staging, open_export(root / "export"), index=manifest.index, parent=None, created_time=manifest.created_time
        )
    return root / published.release_id


def _ranker_inputs(item_count: int) -> RankerInputs:
    """Three neighbours behind every item, and factors and statistics out of a hat."""
    rng = np.random.default_rng(3)
    row_IM = np.add.outer(np.arange(item_count), np.arange(1, 4)).astype(np.int32) % np.int32(item_count)
    return RankerInputs(
        neighbours=Neighbours(row_IM, np.tile(np.array([0.5, 0.3, 0.1], np.float32), (item_count, 1)), 30 * 86_400.0),
        factors=Factors(rng.normal(size=(item_count, 4)).astype(np.float32), confidence=10.0, regularisation=5.0),
        statistics=ItemStatistics(rng.normal(size=(item_count, len(STATISTIC_NAMES))).astype(np.float32), 0.0),
        depth=6,
    )


def _linear_ranker() -> bytes:
    """features [C, F] times RANKER_WEIGHTS."""
    weight_F1 = np.array([[RANKER_WEIGHTS.get(name, 0.0)] for name in FEATURE_NAMES], np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["features", "weight_F1"], ["score"])],
        "ranker",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["C", len(FEATURE_NAMES)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["C", 1])],
        [numpy_helper.from_array(weight_F1, "weight_F1")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {"features": "\n".join(FEATURE_NAMES)})
    return model.SerializeToString()


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
def model_learned(release_learned: Path) -> Model:
    """The release with a ranker, ready to answer on the CPU."""
    return load_model(open_release(release_learned), Device.CPU)


@pytest.fixture(scope="session")
def state_v1(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStateStore]:
    """The state store of ``channel_v1``; tests add users under names of their own."""
    store = SqliteStateStore(tmp_path_factory.mktemp("state") / "state.db")
    yield store
    store.close()


@pytest.fixture(scope="session")
def channel_v1(model_v1: Model, state_v1: SqliteStateStore) -> Iterator[grpc.Channel]:
    """A channel over a real socket to a server of that release in this process."""
    with _serving(model_v1, state_v1) as channel:
        yield channel


@pytest.fixture(scope="session")
def channel_learned(model_learned: Model, state_v1: SqliteStateStore) -> Iterator[grpc.Channel]:
    """The same of the release with a ranker."""
    with _serving(model_learned, state_v1) as channel:
        yield channel


@contextmanager
def _serving(model: Model, state: SqliteStateStore) -> Iterator[grpc.Channel]:
    server = Server(model, state, ServerSettings(port=0, threads=2), open_log("error"))
    port = server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    server.stop(grace_s=0)
