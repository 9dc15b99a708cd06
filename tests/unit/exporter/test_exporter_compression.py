"""Compressed exports: they serve nearly the same answers, and one that would lose too much is refused."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from unbraid_cli.app import run
from unbraid_client import Profile as ClientProfile
from unbraid_client import UnbraidClient
from unbraid_core.encoding import pad_histories
from unbraid_core.errors import InvalidInput
from unbraid_core.release import Release, ReleaseStore, open_export
from unbraid_core.types import IntArray, Precision, Profile
from unbraid_exporter.compact_encoder import compact_encoder
from unbraid_exporter.compression import Compression
from unbraid_exporter.compression_report import CompressionReport
from unbraid_exporter.export import COMPRESSION_REPORT, export_checkpoint
from unbraid_exporter.exported_encoder import ExportedEncoder
from unbraid_exporter.held_out_users import HeldOutUsers
from unbraid_index.exact import ExactSearcher
from unbraid_index.faiss_searcher import FaissSearcher
from unbraid_index.release_build import build_release
from unbraid_server.active_model import ActiveModel
from unbraid_server.device import Device
from unbraid_server.logs import open_log
from unbraid_server.model import load_model
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore
from unbraid_training.checkpoint import Checkpoint, save_checkpoint
from unbraid_training.config import TrainConfig
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.folder import write_dataset
from unbraid_training.data.sources import open_dataset
from unbraid_training.data.splits import LastEvents
from unbraid_training.data.synthetic import SyntheticSpec, plant
from unbraid_training.evaluation.cases import Task
from unbraid_training.evaluation.system import rank_with_pipeline
from unbraid_training.observer import EpochReport
from unbraid_training.train import train

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
FP32, FP16, INT8 = Precision.FP32, Precision.FP16, Precision.INT8
PAIRS = [(FP16, FP16), (INT8, INT8)]
SHORTER = {FP32: 4, FP16: 2, INT8: 1}


class Silent:
    """A TrainingObserver that is not interested."""

    def begin(self, title: str, step_count: int, done_count: int) -> None: ...

    def advance(self) -> None: ...

    def epoch(self, report: EpochReport) -> None: ...


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_dataset(plant(SyntheticSpec(user_count=80, item_count=240, events_per_user=24)).dataset, folder)
    return folder


@pytest.fixture(scope="module")
def dataset(data: Path) -> Dataset:
    return open_dataset(data)[0]


@pytest.fixture(scope="module")
def trained(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    torch.set_num_threads(1)
    config = TrainConfig(dimension=32, epochs=2, batch_size=64)
    return train(dataset, LastEvents(5), config, tmp_path_factory.mktemp("trained") / "run", Silent())


@pytest.fixture(scope="module")
def users(trained: Checkpoint, dataset: Dataset) -> HeldOutUsers:
    return HeldOutUsers.of(trained, dataset)


@pytest.fixture(scope="module")
def release_of(
    trained: Checkpoint, users: HeldOutUsers, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Precision, Precision], Release]:
    """A release with an encoder and vectors of the given precisions; each pair is made once."""
    made: dict[tuple[Precision, Precision], Release] = {}

    def release(encoder: Precision, vectors: Precision) -> Release:
        if (encoder, vectors) not in made:
            root = tmp_path_factory.mktemp(f"{encoder}-{vectors}")
            compression = None if encoder is vectors is FP32 else Compression(encoder, vectors, users, max_loss=0.05)
            export_checkpoint(trained, root / "export", NOON, compression)
            store = ReleaseStore(root / "releases")
            built = build_release(root / "export", store, NOON, recall_target=0.99)
            store.activate(built.manifest.release_id, NOON)
            made[encoder, vectors] = store.open()
        return made[encoder, vectors]

    return release


ReleaseOf = Callable[[Precision, Precision], Release]


def top(release: Release, users: HeldOutUsers, count: int) -> IntArray:
    """The best rows for every user, from the pipeline that a server answers with."""
    new = next(cases for cases in users.cases if cases.task is Task.NEW)
    return rank_with_pipeline(load_model(release, Device.CPU).pipeline, new, lambda _: None)[:, :count]


def overlap(one_HR: IntArray, other_HR: IntArray) -> float:
    """The mean share of rows that two rankings have in common."""
    return float(np.mean([len(np.intersect1d(*pair)) / len(pair[0]) for pair in zip(one_HR, other_HR, strict=True)]))


@pytest.mark.parametrize(("encoder", "vectors"), PAIRS)
def test_a_compressed_release_answers_nearly_the_same(
    release_of: ReleaseOf, users: HeldOutUsers, encoder: Precision, vectors: Precision
) -> None:
    expected, found = top(release_of(FP32, FP32), users, 20), top(release_of(encoder, vectors), users, 20)
    assert overlap(expected, found) >= (0.95 if vectors is INT8 else 0.99)


@pytest.mark.parametrize(("encoder", "vectors"), PAIRS)
def test_the_manifest_and_the_report_say_what_was_done(
    release_of: ReleaseOf, encoder: Precision, vectors: Precision
) -> None:
    plain, smaller = release_of(FP32, FP32), release_of(encoder, vectors)
    manifest = smaller.manifest
    report = CompressionReport.model_validate_json(smaller.path(COMPRESSION_REPORT).read_bytes())

    assert (manifest.encoder_precision, manifest.vector_precision) == (encoder, vectors)
    assert (report.encoder_precision, report.vector_precision) == (encoder, vectors)
    assert report.validation_split == "last-5"
    for name, size in report.files.items():
        assert size.fp32 == plain.manifest.files[name].size
        assert size.compressed == manifest.files[name].size
    values = len(smaller.catalogue) * manifest.encoder.dimension
    assert SHORTER[vectors] * values <= manifest.files["item_vectors.npy"].size <= SHORTER[vectors] * values + 128
    assert manifest.files["user_encoder.onnx"].size < plain.manifest.files["user_encoder.onnx"].size
    assert 0.995 < report.drift.lowest_cosine < 1.0 + 1e-6
    asked = [(change.task, change.profile) for change in report.tasks]
    assert asked == [(task, profile) for task in Task for profile in (Profile.FORMULA, Profile.LEARNED)]
    for change in report.tasks:
        for metric in change.metrics.values():
            assert metric.low <= metric.relative_change <= metric.high
            assert metric.compressed == pytest.approx(metric.fp32 * (1 + metric.relative_change))
    unchanged = {"items.arrow", "item_features.npy", "reports/parity.json", "reports/training.json"}
    assert all(manifest.files[name] == plain.manifest.files[name] for name in unchanged)


def test_nothing_but_the_fp32_files_is_in_an_uncompressed_release(release_of: ReleaseOf) -> None:
    release = release_of(FP32, FP32)
    assert COMPRESSION_REPORT not in release.manifest.files
    assert "precision" not in (release.folder / "manifest.json").read_text()


@pytest.mark.parametrize("vectors", [FP16, INT8])
def test_the_index_holds_the_vectors_that_the_pipeline_sees(
    release_of: ReleaseOf, users: HeldOutUsers, vectors: Precision
) -> None:
    release = release_of(vectors, vectors)
    index = FaissSearcher.open(release.path("index.faiss"), "flat", {}, release.item_vectors_ID)
    query_QD = users.batches(release.item_vectors_ID)[0].item_vectors_BLD[:, 0]
    found, expected = index.search(query_QD, 50), ExactSearcher(release.item_vectors_ID).search(query_QD, 50)
    np.testing.assert_allclose(found.score_QC, expected.score_QC, atol=1e-6)
    np.testing.assert_allclose(
        found.score_QC, np.einsum("qd,qcd->qc", query_QD, release.item_vectors_ID[found.row_QC]), atol=1e-6
    )


def test_a_server_answers_from_a_compressed_release(
    release_of: ReleaseOf, users: HeldOutUsers, tmp_path: Path, unchanged: SqliteCatalogueStore
) -> None:
    release = release_of(INT8, INT8)
    model = load_model(release, Device.CPU)
    cases = users.cases[0].sample(10, seed=0)
    expected = top(release_of(FP32, FP32), replace(users, cases=[cases]), 10)
    store = SqliteStateStore(tmp_path / "state.db")
    server = Server(ActiveModel(model, unchanged), store, ServerSettings(port=0), open_log("error"))
    port = server.start()
    try:
        with UnbraidClient(f"127.0.0.1:{port}") as client:
            answers = [
                client.recommend(
                    history=[
                        (release.catalogue.item_ids[row], float(time_s), "view")
                        for row, time_s in zip(history.row_N, history.time_s_N, strict=True)
                    ],
                    as_of=float(now_s),
                    limit=10,
                    profile=ClientProfile.FORMULA,
                )
                for history, now_s in ((cases.history(user), cases.now_s_H[user]) for user in range(len(cases)))
            ]
    finally:
        server.stop(grace_s=0)
        store.close()
    assert {answer.release_id for answer in answers} == {release.manifest.release_id}
    found = release.catalogue.rows([item.item_id for answer in answers for item in answer.recommendations])
    assert overlap(expected, found.reshape(10, 10)) >= 0.9


def test_the_same_encoder_and_histories_give_the_same_bytes(
    release_of: ReleaseOf, users: HeldOutUsers, tmp_path: Path
) -> None:
    plain = release_of(FP32, FP32)
    again = tmp_path / "again.onnx"
    compact_encoder(plain.path("user_encoder.onnx"), again, INT8, users.batches(plain.item_vectors_ID))
    assert again.read_bytes() == release_of(INT8, INT8).path("user_encoder.onnx").read_bytes()


@pytest.fixture
def crowded(trained: Checkpoint, tmp_path: Path) -> Path:
    """A run whose items differ by less than a step of int8: one number of each vector is large, and the same.

    In fp32 their order is that of the trained model, more or less.
    """
    model, scoring = deepcopy(trained.model), replace(trained.scoring, gamma=0.0, delta=0.0)
    state = model.state_dict()
    weights_ID = torch.nn.functional.normalize(state["items.weight"], dim=-1)
    weights_ID[:, 0] += 300.0
    model.load_state_dict(state | {"items.weight": weights_ID})
    (tmp_path / "crowded").mkdir()
    save_checkpoint(replace(trained, model=model, scoring=scoring), tmp_path / "crowded")
    return tmp_path / "crowded"


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["unbraid", "export", *map(str, arguments)])
    return run()


def test_an_export_that_loses_too_much_is_refused(
    crowded: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, crowded, "--vector-precision", "int8", "--data", data) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(
        r"error: an encoder of fp32 with vectors of int8 loses \d+\.\d\d% of recall@50 in task new, profile formula "
        r"\(0\.\d+ to 0\.\d+\); 0\.50% is allowed, so nothing was exported: "
        r"export fp32, or allow more with --max-loss\n",
        err,
    )
    assert not (crowded / "export").exists()


def test_a_larger_loss_can_be_allowed(
    crowded: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, crowded, "--vector-precision", "int8", "--data", data, "--max-loss", "1") == 0
    assert open_export(crowded / "export").manifest.vector_precision is INT8
    assert re.search(r"^recall@50, task new, formula .* -\d+\.\d\d% \[", capsys.readouterr().out, re.MULTILINE)


def test_a_loss_is_measured_on_the_data_of_the_training_only(
    crowded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, crowded, "--encoder-precision", "fp16") == 2
    assert capsys.readouterr().err.startswith("error: --data: name the folder that the model learnt from")
    write_dataset(plant(SyntheticSpec(user_count=80, item_count=240, events_per_user=24, seed=1)).dataset, tmp_path)
    assert command(monkeypatch, crowded, "--encoder-precision", "fp16", "--data", tmp_path) == 2
    assert capsys.readouterr().err.startswith("error: data: its training part has sha256")
    assert not (crowded / "export").exists()


def test_an_encoder_without_a_large_matrix_is_refused(release_v1: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="int8 needs a weight matrix of 16 x 16"):
        compact_encoder(release_v1 / "user_encoder.onnx", tmp_path / "int8.onnx", INT8, [])


def test_int8_interests_do_not_depend_on_the_others_in_the_batch(release_of: ReleaseOf, users: HeldOutUsers) -> None:
    release = release_of(INT8, INT8)
    encoder = ExportedEncoder(release.path("user_encoder.onnx"))
    together = encoder.encode(users.batches(release.item_vectors_ID)[0])
    for position, history in enumerate(users.histories[:8]):
        alone = encoder.encode(pad_histories([history], release.item_vectors_ID))
        np.testing.assert_allclose(together.vectors_BKD[position], alone.vectors_BKD[0], atol=1e-6)
