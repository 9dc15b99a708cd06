"""What every Encoder promises, run on each implementation. A new one gets a line in ENCODERS."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch

from unbraid_core.ports import Encoder
from unbraid_core.release import EncoderSpec, open_release
from unbraid_core.release.layout import USER_ENCODER
from unbraid_core.types import HistoryBatch, Precision
from unbraid_exporter.compact_encoder import compact_encoder
from unbraid_exporter.exported_encoder import ExportedEncoder
from unbraid_exporter.onnx_export import export_onnx
from unbraid_exporter.parity import check_parity
from unbraid_server.bucketed_encoder import BucketedEncoder, Place
from unbraid_server.device import Device
from unbraid_server.device_options import CPU_PROVIDER, DeviceOptions
from unbraid_server.encoder import OnnxEncoder
from unbraid_server.onnx_session import open_session
from unbraid_training.config import EncoderConfig
from unbraid_training.encoder import MultiInterestEncoder
from unbraid_training.memo import MemoEncoder
from unbraid_training.torch_encoder import TorchEncoder

TOLERANCE = 1e-5
D, WIDE, K, MAX_HISTORY = 8, 16, 3, 50
ACTIONS = ["", "view", "cart", "buy"]


@dataclass(frozen=True)
class Subject:
    """An encoder under test, and the sizes that it was made for."""

    encoder: Encoder
    interest_count: int
    dimension: int
    action_count: int


def released(release_v1: Path, _: Path) -> Subject:
    """The encoder of the committed release under ONNX Runtime."""
    release = open_release(release_v1)
    spec = release.manifest.encoder
    encoder = OnnxEncoder(release.path(USER_ENCODER), spec, Device.CPU)
    return Subject(encoder, spec.interest_count, spec.dimension, len(spec.actions))


def bucketed(*, graphs: bool) -> Callable[[Path, Path], Subject]:
    """The same as on a GPU: at few shapes, through buffers, and in a thread of its own for CUDA graphs."""

    def subject(release_v1: Path, folder: Path) -> Subject:
        spec = open_release(release_v1).manifest.encoder
        session = open_session(release_v1 / USER_ENCODER, {CPU_PROVIDER: {}})
        encoder = BucketedEncoder(session, spec, Place("cpu"), graphs=graphs)
        encoder.warm_up()
        return replace(released(release_v1, folder), encoder=encoder)

    return subject


def on_gpu(*, graphs: bool) -> Callable[[Path, Path], Subject]:
    """The same on a GPU."""

    def subject(release_v1: Path, folder: Path) -> Subject:
        spec = open_release(release_v1).manifest.encoder
        encoder = OnnxEncoder(release_v1 / USER_ENCODER, spec, Device.CUDA, DeviceOptions(cuda_graphs=graphs))
        return replace(released(release_v1, folder), encoder=encoder)

    return subject


def exported_file(release_v1: Path, folder: Path) -> Subject:
    """The same file, as an export is checked and measured with."""
    return replace(released(release_v1, folder), encoder=ExportedEncoder(release_v1 / USER_ENCODER))


def shaken(config: EncoderConfig, dimension: int = D) -> MultiInterestEncoder:
    """An encoder away from its starting point, so that no part of it is without effect."""
    torch.manual_seed(1)
    encoder = MultiInterestEncoder(dimension, K, len(ACTIONS), dropout=0.5, config=config)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    return encoder


def in_torch(config: EncoderConfig) -> Callable[[Path, Path], Subject]:
    """An encoder under PyTorch."""
    return lambda _, __: Subject(TorchEncoder(shaken(config)), K, D, len(ACTIONS))


def exported(config: EncoderConfig, device: Device = Device.CPU) -> Callable[[Path, Path], Subject]:
    """The same encoder, exported and run as the server does it; it has passed the parity check before."""

    def subject(_: Path, folder: Path) -> Subject:
        encoder, path = shaken(config), folder / USER_ENCODER
        item_vectors_ID = np.random.default_rng(0).normal(size=(50, D)).astype(np.float32)
        item_vectors_ID /= np.linalg.norm(item_vectors_ID, axis=1, keepdims=True)
        export_onnx(encoder, D, path, {})
        check_parity(encoder, path, item_vectors_ID, len(ACTIONS), MAX_HISTORY)
        spec = EncoderSpec(
            architecture=config.architecture,
            interest_count=K,
            dimension=D,
            max_history=MAX_HISTORY,
            actions=ACTIONS,
        )
        return Subject(OnnxEncoder(path, spec, device), K, D, len(ACTIONS))

    return subject


def remembering(_: Path, __: Path) -> Subject:
    """The one under PyTorch, remembering its answers."""
    return Subject(MemoEncoder(TorchEncoder(shaken(EncoderConfig()))), K, D, len(ACTIONS))


@cache
def wide_export() -> bytes:
    """An export that is wide enough to be compacted."""
    with TemporaryDirectory() as folder:
        export_onnx(shaken(EncoderConfig(), WIDE), WIDE, Path(folder, "encoder.onnx"), {})
        return Path(folder, "encoder.onnx").read_bytes()


def compacted(precision: Precision) -> Callable[[Path, Path], Subject]:
    """Makes an exported encoder of a lower precision, under ONNX Runtime."""

    def subject(_: Path, folder: Path) -> Subject:
        spec = EncoderSpec(
            architecture="", interest_count=K, dimension=WIDE, max_history=MAX_HISTORY, actions=list(ACTIONS)
        )
        sizes = Subject(TorchEncoder(shaken(EncoderConfig(), WIDE)), K, WIDE, len(ACTIONS))
        whole, compact = folder / "whole.onnx", folder / "compact.onnx"
        whole.write_bytes(wide_export())
        compact_encoder(whole, compact, precision, [batch_of(sizes, [50, 20, 5], 50)])
        return replace(sizes, encoder=OnnxEncoder(compact, spec, Device.CPU))

    return subject


# Of the 40 combinations, ten in which each trunk is with and without time, and every other choice is made at least
# three times; benchmarks/encoder_exports.py compares all of them with PyTorch.
VARIANTS = (
    EncoderConfig(),
    EncoderConfig(time=False, extraction="dynamic-routing", short_term=True),
    EncoderConfig(trunk="transformer"),
    EncoderConfig(trunk="transformer", time=False, extraction="dynamic-routing"),
    EncoderConfig(trunk="lstm"),
    EncoderConfig(trunk="lstm", time=False, short_term=True),
    EncoderConfig(trunk="gru", extraction="dynamic-routing"),
    EncoderConfig(trunk="gru", time=False),
    EncoderConfig(trunk="conv", short_term=True),
    EncoderConfig(trunk="conv", time=False, extraction="dynamic-routing"),
)
ENCODERS: dict[str, Callable[[Path, Path], Subject]] = {
    "onnx": released,
    "onnx, bucketed": bucketed(graphs=False),
    "onnx, bucketed, graphs": bucketed(graphs=True),
    "exported": exported_file,
    "onnx, fp16": compacted(Precision.FP16),
    "onnx, int8": compacted(Precision.INT8),
    "memo": remembering,
    **{f"torch:{config.architecture}": in_torch(config) for config in VARIANTS},
    # The first one is exported and compared by the tests of the exporter.
    **{f"onnx:{config.architecture}": exported(config) for config in VARIANTS[1:]},
}


GPU_ENCODERS: dict[str, Callable[[Path, Path], Subject]] = {
    "gpu": on_gpu(graphs=False),
    "gpu, graphs": on_gpu(graphs=True),
    **{f"gpu:{config.architecture}": exported(config, Device.CUDA) for config in VARIANTS[1:]},
}


@pytest.fixture(
    scope="module", params=[*ENCODERS, *(pytest.param(name, marks=pytest.mark.gpu) for name in GPU_ENCODERS)]
)
def subject(request: pytest.FixtureRequest, release_v1: Path, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return {**ENCODERS, **GPU_ENCODERS}[request.param](release_v1, tmp_path_factory.mktemp("encoder"))


def batch_of(subject: Subject, lengths: list[int], padded_to: int, seed: int = 0) -> HistoryBatch:
    """Random histories; a history's content depends on the seed, its position and its length, never on the padding."""
    shape_BL = len(lengths), padded_to
    batch = HistoryBatch(
        np.zeros((*shape_BL, subject.dimension), np.float32),
        np.zeros(shape_BL, np.float32),
        np.zeros(shape_BL, np.int64),
        np.zeros(shape_BL, np.bool_),
    )
    for b, length in enumerate(lengths):
        rng = np.random.default_rng([seed, b, length])
        vectors_ND = rng.normal(size=(length, subject.dimension))
        batch.item_vectors_BLD[b, :length] = vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)
        age_s_N = np.sort(rng.uniform(0, 1e7, length))[::-1]
        batch.age_s_BL[b, :length] = age_s_N - age_s_N[-1]
        batch.action_BL[b, :length] = rng.integers(0, subject.action_count, length)
        batch.mask_BL[b, :length] = True
    return batch


SHAPES = [([1], 1), ([1], 5), ([4], 4), ([3, 1, 6], 6), ([2, 2], 9), ([1] * 17, 1), ([50, 7], 50)]


@pytest.mark.parametrize(("lengths", "padded_to"), SHAPES)
def test_interests_are_unit_vectors(subject: Subject, lengths: list[int], padded_to: int) -> None:
    answer = subject.encoder.encode(batch_of(subject, lengths, padded_to))
    assert answer.vectors_BKD.shape == (len(lengths), subject.interest_count, subject.dimension)
    assert answer.vectors_BKD.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(answer.vectors_BKD, axis=2), 1.0, atol=TOLERANCE)


@pytest.mark.parametrize(("lengths", "padded_to"), SHAPES)
def test_each_event_is_shared_out_whole_and_padding_not_at_all(
    subject: Subject, lengths: list[int], padded_to: int
) -> None:
    batch = batch_of(subject, lengths, padded_to)
    assignment_BKL = subject.encoder.encode(batch).assignment_BKL
    assert assignment_BKL.shape == (len(lengths), subject.interest_count, padded_to)
    assert assignment_BKL.dtype == np.float32
    assert (assignment_BKL >= 0).all()
    np.testing.assert_allclose(assignment_BKL.sum(axis=1), batch.mask_BL.astype(np.float32), atol=TOLERANCE)
    assert (assignment_BKL.transpose(0, 2, 1)[~batch.mask_BL] == 0).all()


@pytest.mark.parametrize("extra", [1, 2, 13])
def test_padding_never_changes_an_answer(subject: Subject, extra: int) -> None:
    lengths = [6, 1, 3]
    bare = subject.encoder.encode(batch_of(subject, lengths, 6))
    padded = subject.encoder.encode(batch_of(subject, lengths, 6 + extra))
    np.testing.assert_allclose(padded.vectors_BKD, bare.vectors_BKD, atol=TOLERANCE)
    np.testing.assert_allclose(padded.assignment_BKL[:, :, :6], bare.assignment_BKL, atol=TOLERANCE)


def test_no_answer_depends_on_the_others_in_its_batch(subject: Subject) -> None:
    lengths = [6, 1, 3, 5]
    batch = batch_of(subject, lengths, 6)
    together = subject.encoder.encode(batch)
    for b, length in enumerate(lengths):
        alone = subject.encoder.encode(
            HistoryBatch(
                batch.item_vectors_BLD[b : b + 1, :length],
                batch.age_s_BL[b : b + 1, :length],
                batch.action_BL[b : b + 1, :length],
                batch.mask_BL[b : b + 1, :length],
            )
        )
        np.testing.assert_allclose(together.vectors_BKD[b], alone.vectors_BKD[0], atol=TOLERANCE)
        np.testing.assert_allclose(together.assignment_BKL[b, :, :length], alone.assignment_BKL[0], atol=TOLERANCE)


def test_equal_questions_get_equal_answers_from_many_threads(subject: Subject) -> None:
    batches = [batch_of(subject, [4, 2], 4, seed) for seed in range(8)]
    expected = [subject.encoder.encode(batch).vectors_BKD for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(subject.encoder.encode, batches * 5))
    for position, answer in enumerate(answers):
        np.testing.assert_array_equal(answer.vectors_BKD, expected[position % len(batches)])
