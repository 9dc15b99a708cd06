"""Fixtures that several parts of the suite share: the committed release, a model of it, and a server that answers."""

from __future__ import annotations

import json
import os
import shutil
import signal
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
from safetensors.numpy import save_file

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
from unbraid_core.types import FloatArray
from unbraid_server.active_model import ActiveModel
from unbraid_server.cuda_driver import driver_obstacle
from unbraid_server.device import Device
from unbraid_server.logs import open_log
from unbraid_server.model import Model, load_model
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore

# What is started in the background ignores Ctrl-C, and so do its children, unless this process handles it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A console keeps the COLUMNS that it was made under. Made without, it follows what each test sets.
os.environ.pop("COLUMNS", None)
import_module("unbraid_cli.console")

# A busy machine takes its time over an example; what has to be fast is measured, not tested.
hypothesis.settings.register_profile("unbraid", deadline=None)
# More than 20,000 requests over all methods of tests/fuzz.
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=5_000)
hypothesis.settings.load_profile("unbraid")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a GPU where there is none, and what is about having none where there is one."""
    unfit = "no_gpu" if driver_obstacle(0) is None else "gpu"
    left_out = [item for item in items if item.get_closest_marker(unfit)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker(unfit)]


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
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteCatalogueStore]:
    """A catalogue store without changes. Read it, never write there."""
    store = SqliteCatalogueStore(tmp_path_factory.mktemp("catalogue") / "catalogue.sqlite")
    yield store
    store.close()


@pytest.fixture(scope="session")
def channel_v1(model_v1: Model, state_v1: SqliteStateStore, unchanged: SqliteCatalogueStore) -> Iterator[grpc.Channel]:
    """A channel over a real socket to a server of that release in this process."""
    with _serving(model_v1, state_v1, unchanged) as channel:
        yield channel


@pytest.fixture(scope="session")
def channel_learned(
    model_learned: Model, state_v1: SqliteStateStore, unchanged: SqliteCatalogueStore
) -> Iterator[grpc.Channel]:
    """The same of the release with a ranker."""
    with _serving(model_learned, state_v1, unchanged) as channel:
        yield channel


@contextmanager
def _serving(model: Model, state: SqliteStateStore, catalogue: SqliteCatalogueStore) -> Iterator[grpc.Channel]:
    server = Server(ActiveModel(model, catalogue), state, ServerSettings(port=0), open_log("error"))
    port = server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    server.stop(grace_s=0)


SENTENCE_SHAPE = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "vocab_size": 40,
    "type_vocab_size": 2,
    "max_position_embeddings": 12,
    "layer_norm_eps": 1e-12,
}
LAYER_SHAPES = {
    **{f"attention.self.{name}": (16, 16) for name in ("query", "key", "value")},
    "attention.output.dense": (16, 16),
    "intermediate.dense": (24, 16),
    "output.dense": (16, 24),
}
WORDS = ["jazz", "hiking", "baking", "astronomy", "##s", "new", "old", *"123456789,", *(f"##{n}" for n in range(10))]


@pytest.fixture(scope="session")
def sentence_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence encoder like those that people download, with 40 tokens, two layers and random weights."""
    folder = tmp_path_factory.mktemp("sentence")
    (folder / "config.json").write_text(json.dumps(SENTENCE_SHAPE))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 10}')
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        '{"pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": false}'
    )
    (folder / "tokenizer.json").write_text(json.dumps(sentence_tokenizer()))
    save_file(sentence_weights(), folder / "model.safetensors")
    return folder


def sentence_tokenizer() -> dict[str, object]:
    """A tokenizer.json as people store it: with a padding and a length that suited whoever stored it."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    sequence = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    end = {"SpecialToken": {"id": "[SEP]", "type_id": 0}}
    special = {name: {"id": name, "ids": [vocabulary.index(name)], "tokens": [name]} for name in ("[CLS]", "[SEP]")}
    return {
        "version": "1.0",
        "truncation": {"max_length": 6, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": {
            "strategy": {"Fixed": 6},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "[PAD]",
        },
        "added_tokens": [],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [*sequence, end],
            "pair": [*sequence, end],
            "special_tokens": special,
        },
        "decoder": None,
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {word: index for index, word in enumerate(vocabulary)},
        },
    }


def sentence_weights() -> dict[str, FloatArray]:
    """Random weights under the names that BERT files use."""
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (40, 16),
        "embeddings.position_embeddings.weight": (12, 16),
        "embeddings.token_type_embeddings.weight": (2, 16),
    }
    norms = ["embeddings.LayerNorm"]
    for index in range(2):
        layer = f"encoder.layer.{index}"
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
        for name, shape in LAYER_SHAPES.items():
            shapes |= {f"{layer}.{name}.weight": shape, f"{layer}.{name}.bias": shape[:1]}
    rng = np.random.default_rng(3)
    weights = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    for name in norms:
        weights[f"{name}.weight"] = 1 + 0.1 * rng.normal(size=16)
        weights[f"{name}.bias"] = 0.1 * rng.normal(size=16)
    return {name: array.astype(np.float32) for name, array in weights.items()}
