"""Items that training never saw: their way from a text through ONNX into a release that recommends them."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
import torch

from unbraid_cli.app import run
from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import IncompatibleError, IntegrityError, InvalidInput
from unbraid_core.factors import Factors
from unbraid_core.item_change import ItemChange
from unbraid_core.item_statistics import ItemStatistics
from unbraid_core.live.item_table import item_of
from unbraid_core.neighbours import Neighbours
from unbraid_core.ranker_inputs import RankerInputs
from unbraid_core.release import Export, ReleaseStore, Staging, open_export, open_release, publish_export
from unbraid_core.release.layout import RANKER
from unbraid_core.release.ranker import write_ranker_inputs
from unbraid_core.types import History, Query
from unbraid_exporter.export import ITEM_PARITY_REPORT, export_checkpoint
from unbraid_exporter.item_encoder import ItemParityReport, export_item_encoder
from unbraid_index.content.item_encoder import open_item_encoder
from unbraid_index.new_items import Addition
from unbraid_index.release_build import build_release, rebuild_release
from unbraid_server.device import Device
from unbraid_server.model import load_model
from unbraid_training.checkpoint import Checkpoint
from unbraid_training.config import TrainConfig
from unbraid_training.content.config import ContentConfig
from unbraid_training.content.item_content import read_content
from unbraid_training.content.item_encoder import ItemEncoder
from unbraid_training.content.term_encoder import TermEncoder
from unbraid_training.content.text_reader import TextReader
from unbraid_training.data.splits import LastEvents
from unbraid_training.data.synthetic import SyntheticSpec, plant
from unbraid_training.observer import EpochReport
from unbraid_training.ranker.config import RankerConfig
from unbraid_training.train import train

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
DATASET = plant(SyntheticSpec(user_count=40, item_count=120, events_per_user=20)).dataset
TOPICS = sorted({DATASET.catalogue.categories(row)[0] for row in range(120)})
NEW = Catalogue.of(
    [f"new-{topic}" for topic in TOPICS], [f"{topic} new" for topic in TOPICS], [[topic] for topic in TOPICS]
)
MANIFEST_PARTS = ("space_id", "encoder", "half_life_s", "scoring", "training", "item_encoder")


class Silent:
    """A TrainingObserver."""

    def begin(self, title: str, step_count: int, done_count: int) -> None: ...
    def advance(self) -> None: ...
    def epoch(self, report: EpochReport) -> None: ...


class Made(NamedTuple):
    """What one way of reading text leads to."""

    checkpoint: Checkpoint
    export: Path


@pytest.fixture(scope="session", params=["tfidf", "sentence"])
def made(request: pytest.FixtureRequest, sentence_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp(request.param)
    torch.set_num_threads(1)
    text = "tfidf" if request.param == "tfidf" else str(sentence_folder)
    config = TrainConfig(
        dimension=16, epochs=2, batch_size=64, content=ContentConfig(text=text), ranker=RankerConfig(origin_count=0)
    )
    checkpoint = train(DATASET, LastEvents(5), config, folder / "run", Silent())
    return Made(checkpoint, export_checkpoint(checkpoint, folder / "export", NOON))


@pytest.fixture
def export(made: Made) -> Export:
    return open_export(made.export)


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(tmp_path / "releases")


def test_the_manifest_says_how_the_item_encoder_is_fed(export: Export, made: Made) -> None:
    spec = export.manifest.item_encoder
    assert spec is not None
    assert spec.columns == ["title", "categories"]
    assert spec.tokeniser == ("terms" if made.checkpoint.settings.content.text == "tfidf" else "subwords")
    assert {"item_encoder.onnx", "item_tokeniser.json", ITEM_PARITY_REPORT} <= export.manifest.files.keys()


def test_the_item_encoder_answers_as_pytorch_does(export: Export, made: Made) -> None:
    reference = made.checkpoint.item_encoder()
    assert reference is not None
    encoded = open_item_encoder(export).encode(NEW)
    np.testing.assert_allclose(encoded.vectors_ND, reference.vectors(NEW), atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(encoded.vectors_ND, axis=1), 1, atol=1e-5)
    report = ItemParityReport.model_validate_json(export.path(ITEM_PARITY_REPORT).read_bytes())
    assert len(report.cases) >= 5
    assert all(case.error <= report.tolerance for case in report.cases)


def test_the_vector_of_a_text_does_not_depend_on_the_others(export: Export) -> None:
    encoder = open_item_encoder(export)
    alone_ND = np.concatenate([encoder.encode(NEW.take(np.array([row]))).vectors_ND for row in range(len(NEW))])
    np.testing.assert_allclose(encoder.encode(NEW).vectors_ND, alone_ND, atol=1e-5)


class RandomFeatures(TermEncoder):
    """Answers otherwise in every call, so no graph can agree with it."""

    def forward(self, token_BL: torch.Tensor, mask_BL: torch.Tensor) -> torch.Tensor:
        features_BF = super().forward(token_BL, mask_BL)
        return features_BF + torch.randn_like(features_BF)


def test_an_item_encoder_that_fails_parity_is_refused(tmp_path: Path) -> None:
    config = TrainConfig(dimension=8, content=ContentConfig(text="tfidf"))
    content = read_content(DATASET.catalogue, config)
    assert content is not None
    assert isinstance(content.reader.encoder, TermEncoder)
    items = content.vectors_of(DATASET.catalogue, config)
    torch.nn.init.normal_(items.projection.map_WD)
    fitted = content.reader.encoder
    random = RandomFeatures(fitted.tokeniser, fitted.idf_V, fitted.projected_VF)
    encoder = ItemEncoder(TextReader(content.reader.columns, random), items.projection)
    with pytest.raises(IncompatibleError, match="the exported item encoder differs from PyTorch by"):
        export_item_encoder(encoder, DATASET.catalogue, tmp_path, {})


def test_new_items_are_recommended_at_once(made: Made, store: ReleaseStore) -> None:
    built = build_release(made.export, store, NOON, 0.99, new_items=NEW)
    assert built.addition == Addition(added_count=len(TOPICS), known_count=0, wordless_count=0)
    release = store.open(built.manifest.release_id)
    model = load_model(release, Device.CPU)
    assert len(release.catalogue) == len(made.checkpoint.catalogue) + len(NEW)
    history = model.history(NEW.item_ids[:1], [0.0], [""], None).history
    known_row_N = np.arange(len(made.checkpoint.catalogue))
    queries = [
        Query(history, 0.0, 1, include_seen=True, excluded_row_X=known_row_N),
        Query(History.empty(), 0.0, len(release.catalogue)),
    ]
    same, anybody = model.pipeline.recommend(queries)
    assert release.catalogue.item_ids[int(same.row_R[0])] == NEW.item_ids[0], "the interests of one who took it"
    assert set(anybody.row_R) >= set(release.catalogue.rows(NEW.item_ids))


def test_upserted_items_are_what_a_build_makes_of_them(made: Made, store: ReleaseStore) -> None:
    without, built = (
        store.open(build_release(made.export, store, time, 0.99, new_items=items).manifest.release_id)
        for time, items in ((NOON, None), (NOON + timedelta(days=1), NEW))
    )
    changes = [ItemChange(item_id, item_of(NEW.table, row)) for row, item_id in enumerate(NEW.item_ids)]
    live = load_model(without, Device.CPU).with_changes(changes)
    rows = built.catalogue.rows(NEW.item_ids)
    assert live.catalogue.rows(NEW.item_ids).tolist() == rows.tolist()
    np.testing.assert_allclose(live.pipeline.item_vectors_ID[rows], built.item_vectors_ID[rows], atol=1e-5)
    np.testing.assert_allclose(live.pipeline.log_popularity_I[rows], built.log_popularity_I[rows], atol=1e-5)


def test_new_items_count_as_popular_as_their_neighbours(made: Made, store: ReleaseStore) -> None:
    release = store.open(build_release(made.export, store, NOON, 0.99, new_items=NEW).manifest.release_id)
    known = len(made.checkpoint.catalogue)
    vectors_ID, popularity_I = np.asarray(release.item_vectors_ID), release.log_popularity_I
    for row in range(known, len(release.catalogue)):
        nearest = np.argsort(-(vectors_ID[:known] @ vectors_ID[row]))[:10]
        assert popularity_I[row] == pytest.approx(popularity_I[nearest].mean(), abs=1e-5)
    np.testing.assert_array_equal(popularity_I[:known], made.checkpoint.log_popularity_I)


def test_the_ranker_takes_new_items_for_what_their_neighbours_are(
    made: Made, release_learned: Path, store: ReleaseStore, tmp_path: Path
) -> None:
    learned = open_release(release_learned)
    assert learned.ranker_inputs is not None
    export, item_count = open_export(made.export), len(made.checkpoint.catalogue)
    row_I = np.arange(item_count) % len(learned.catalogue)
    inputs = learned.ranker_inputs
    before = RankerInputs(
        Neighbours(inputs.neighbours.row_IM[row_I], inputs.neighbours.weight_IM[row_I], inputs.neighbours.half_life_s),
        Factors(inputs.factors.vector_IF[row_I], inputs.factors.confidence, inputs.factors.regularisation),
        ItemStatistics(inputs.statistics.value_IS[row_I], inputs.statistics.reference_time_s),
        inputs.depth,
    )
    with Staging(tmp_path) as staging:
        shutil.copytree(made.export, staging.folder, dirs_exist_ok=True)
        (staging.folder / "export.json").unlink()
        shutil.copyfile(learned.path(RANKER), staging.folder / RANKER)
        write_ranker_inputs(before, staging.folder)
        kept = {name: getattr(export.manifest, name) for name in MANIFEST_PARTS}
        publish_export(staging, "learned", created_time=NOON, ranker=learned.manifest.ranker, **kept)
    built = build_release(tmp_path / "learned", store, NOON, 0.99, new_items=NEW)
    release = store.open(built.manifest.release_id)
    after = release.ranker_inputs
    assert after is not None
    assert (after.neighbours.weight_IM[item_count:] == 0).all()
    np.testing.assert_array_equal(after.neighbours.row_IM[:item_count], before.neighbours.row_IM)
    known_ID, new_ND = np.split(release.item_vectors_ID[:], [item_count])
    nearest_NM = np.argsort(-(new_ND @ known_ID.T), axis=1)[:, :10]
    for found, known in (
        (after.factors.vector_IF, before.factors.vector_IF),
        (after.statistics.value_IS, before.statistics.value_IS),
    ):
        np.testing.assert_array_equal(found[:item_count], known)
        np.testing.assert_allclose(found[item_count:], known[nearest_NM].mean(axis=1), atol=1e-5)


def test_items_that_are_known_stay_as_they_are(made: Made, store: ReleaseStore) -> None:
    first = build_release(made.export, store, NOON, 0.99, new_items=NEW)
    known_id = made.checkpoint.catalogue.item_ids[0]
    more = Catalogue.of(["late", known_id, "new-jazz", "silent"], ["jazz late", "renamed", "renamed", ""])
    child = rebuild_release(store, first.manifest.release_id, None, NOON, 0.99, new_items=more)
    assert child.addition == Addition(added_count=2, known_count=2, wordless_count=1)
    before, after = store.open(first.manifest.release_id), store.open(child.manifest.release_id)
    assert after.catalogue.item_ids == [*before.catalogue.item_ids, "late", "silent"]
    assert after.catalogue.take(np.arange(len(before.catalogue))).table.equals(before.catalogue.table)
    np.testing.assert_array_equal(after.item_vectors_ID[: len(before.catalogue)], before.item_vectors_ID)
    assert after.manifest.item_encoder == before.manifest.item_encoder
    assert child.manifest.parent == first.manifest.release_id


def test_no_new_item_changes_nothing_but_the_time(made: Made, store: ReleaseStore) -> None:
    built = build_release(made.export, store, NOON, 0.99, new_items=made.checkpoint.catalogue)
    assert built.addition == Addition(0, len(made.checkpoint.catalogue), 0)
    plain = ReleaseStore(store.root.with_name("plain"))
    other = build_release(made.export, plain, NOON, 0.99)
    assert built.manifest.files["item_vectors.npy"] == other.manifest.files["item_vectors.npy"]
    assert built.manifest.files["item_features.npy"] == other.manifest.files["item_features.npy"]


def test_a_release_without_item_encoder_takes_no_new_items(export_dir: Path, store: ReleaseStore) -> None:
    with pytest.raises(IncompatibleError, match=r"has no item_encoder\.onnx.*train with --item-text"):
        build_release(export_dir, store, NOON, 0.99, new_items=NEW)
    assert store.list() == []


def test_an_attribute_of_another_type_is_refused() -> None:
    catalogue = Catalogue.of(["a"], attributes={"price": pa.array([1.5])})
    extended = catalogue.followed_by(Catalogue.of(["b"], attributes={"colour": pa.array(["red"])}))
    assert extended.table.to_pydict()["price"] == [1.5, None]
    assert "colour" not in extended.table.column_names
    with pytest.raises(InvalidInput, match="column 'price' has type string, the catalogue has double"):
        catalogue.followed_by(Catalogue.of(["b"], attributes={"price": pa.array(["dear"])}))


def test_a_damaged_item_encoder_is_found(made: Made, store: ReleaseStore) -> None:
    release_id = build_release(made.export, store, NOON, 0.99).manifest.release_id
    path = store.root / release_id / "item_encoder.onnx"
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(IntegrityError, match=r"item_encoder\.onnx: expected sha256"):
        rebuild_release(store, release_id, None, NOON, 0.99, new_items=NEW)


def test_the_commands_add_the_items_of_a_file(
    made: Made, store: ReleaseStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "first.csv").write_text("item_id,title,categories\nnew-1,jazz new,jazz\nnew-2,,\n")
    (tmp_path / "later.csv").write_text("item_id,title,categories\nnew-1,jazz new,jazz\nnew-3,baking 3,baking\n")
    build = ["index", "build", str(made.export), "--items", str(tmp_path / "first.csv"), "--activate"]
    rebuild = ["index", "rebuild", "--items", str(tmp_path / "later.csv")]
    for words in (build, rebuild):
        monkeypatch.setattr(sys, "argv", ["unbraid", *words, "--releases", str(store.root)])
        assert run() == 0
    out = capsys.readouterr().out
    assert "2 added, 1 without a known word; 0 were there before" in out
    assert "1 added; 1 were there before" in out
    # Both may be of one second, so that their ids do not tell which came last.
    largest = max((store.open(summary.release_id).catalogue for summary in store.list()), key=len)
    assert largest.item_ids[-3:] == ["new-1", "new-2", "new-3"]


def test_a_release_that_cannot_take_items_is_named_in_one_line(
    export_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "items.csv").write_text("item_id,title\nnew-1,jazz new\n")
    words = [
        "index",
        "build",
        str(export_dir),
        "--items",
        str(tmp_path / "items.csv"),
        "--releases",
        str(tmp_path / "r"),
    ]
    monkeypatch.setattr(sys, "argv", ["unbraid", *words])
    assert run() == 2
    assert "train with --item-text and export again" in capsys.readouterr().err
