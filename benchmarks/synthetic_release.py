"""Releases of any size to measure servers with: clustered unit vectors, an untrained encoder, made-up items."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from unbraid_core.catalogue import Catalogue
from unbraid_core.decay import log_mass, log_share
from unbraid_core.encoding import pad_histories
from unbraid_core.release import EncoderSpec, ReleaseStore, Staging, TrainingRecord, publish_export
from unbraid_core.release.layout import CATALOGUE, ITEM_FEATURES, ITEM_VECTORS, QUERIES, QUERY_SHARES, USER_ENCODER
from unbraid_core.types import FloatArray, History, Scoring
from unbraid_exporter.exported_encoder import ExportedEncoder
from unbraid_exporter.onnx_export import export_onnx
from unbraid_index.release_build import build_release
from unbraid_training.encoder import MultiInterestEncoder

__all__ = ["RECALL", "item_id", "publish_synthetic_release", "write_synthetic_export"]

DIMENSION, INTERESTS, MAX_HISTORY = 64, 4, 50
CLUSTERS, SPREAD, CHUNK_ITEMS = 1_000, 0.5, 1_000_000
CATEGORIES = 200
ACTIONS = ["", "view", "buy"]
HALF_LIVES_S = [days * 86_400.0 for days in (3, 10, 30, 100)]
RECALL = 0.99
QUERY_USERS, LONGEST_AGO_S = 500, 60 * 86_400.0


def item_id(row: int) -> str:
    """The id of an item."""
    return f"item-{row:08d}"


def publish_synthetic_release(store: ReleaseStore, item_count: int, title: str, created_time: datetime) -> str:
    """Publish a release whose items all have the same title and two of the categories, and return its release_id."""
    with TemporaryDirectory() as folder:
        export = Path(folder) / "export"
        write_synthetic_export(export, item_count, title, created_time)
        return build_release(export, store, created_time, RECALL).manifest.release_id


def write_synthetic_export(export: Path, item_count: int, title: str, created_time: datetime) -> None:
    """The same before it has an index, as a folder of this name."""
    export.parent.mkdir(parents=True, exist_ok=True)
    with Staging(export.parent) as staging:
        _write_files(staging.folder, item_count, title, np.random.default_rng(0))
        _publish_export(staging, export.name, created_time)


def _write_files(folder: Path, item_count: int, title: str, rng: np.random.Generator) -> None:
    torch.manual_seed(1)
    encoder = MultiInterestEncoder(DIMENSION, INTERESTS, len(ACTIONS), dropout=0.0)
    export_onnx(encoder, DIMENSION, folder / USER_ENCODER, {})
    np.save(folder / ITEM_VECTORS, _clustered(item_count, rng))
    event_count_I = rng.zipf(1.5, item_count).astype(np.float64)
    np.save(folder / ITEM_FEATURES, np.log(event_count_I / event_count_I.sum()).astype(np.float32)[:, None])
    ids = [item_id(row) for row in range(item_count)]
    category_I2 = rng.integers(0, CATEGORIES, (item_count, 2)).tolist()
    categories = [[f"category {number}" for number in pair] for pair in category_I2]
    Catalogue.of(ids, [title] * item_count, categories).write(folder / CATALOGUE)
    _write_queries(folder, item_count, rng)


def _write_queries(folder: Path, item_count: int, rng: np.random.Generator) -> None:
    """The interests of users with random histories, as the load of the benchmarks has: what the index is tuned with."""
    histories = [
        History(
            row_N=rng.integers(0, item_count, MAX_HISTORY),
            time_s_N=np.sort(-rng.uniform(0.0, LONGEST_AGO_S, MAX_HISTORY)),
            action_N=rng.integers(0, len(ACTIONS), MAX_HISTORY),
        )
        for _ in range(QUERY_USERS)
    ]
    encoded = ExportedEncoder(folder / USER_ENCODER).encode(pad_histories(histories, np.load(folder / ITEM_VECTORS)))
    log_share_UK = [
        log_share(log_mass(assignment_KL, -history.time_s_N, np.array(HALF_LIVES_S)))
        for assignment_KL, history in zip(encoded.assignment_BKL, histories, strict=True)
    ]
    np.save(folder / QUERIES, encoded.vectors_BKD.reshape(-1, DIMENSION))
    np.save(folder / QUERY_SHARES, np.array(log_share_UK, np.float32))


def _clustered(item_count: int, rng: np.random.Generator) -> FloatArray:
    centre_MD = rng.normal(size=(CLUSTERS, DIMENSION)).astype(np.float32)
    vectors_ID = centre_MD[rng.integers(0, CLUSTERS, item_count)]
    for start in range(0, item_count, CHUNK_ITEMS):
        chunk_CD = vectors_ID[start : start + CHUNK_ITEMS]
        chunk_CD += SPREAD * rng.normal(size=chunk_CD.shape).astype(np.float32)
        chunk_CD /= np.linalg.norm(chunk_CD, axis=1, keepdims=True)
    return vectors_ID


def _publish_export(staging: Staging, name: str, created_time: datetime) -> None:
    publish_export(
        staging,
        name,
        space_id="synthetic",
        created_time=created_time,
        encoder=EncoderSpec(
            architecture="untrained",
            interest_count=INTERESTS,
            dimension=DIMENSION,
            max_history=MAX_HISTORY,
            actions=ACTIONS,
        ),
        half_life_s=HALF_LIVES_S,
        scoring=Scoring(
            temperature=0.1, beta=1.0, gamma=0.2, delta=0.5, own_half_life_s=2e6, popularity_half_life_s=2e6
        ),
        training=TrainingRecord(
            split="none",
            seed=0,
            event_count=0,
            user_count=0,
            last_event_time=created_time,
            data_sha256="0" * 64,
            validation={},
        ),
    )
