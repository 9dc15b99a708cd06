"""Catalogues and exports for the tests of the index."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from unbraid_core.release import Staging, open_release, publish_export
from unbraid_core.release.layout import EXPORT_FILES, QUERIES, QUERY_SHARES
from unbraid_core.types import FloatArray

FIXTURE = Path(__file__).parents[2] / "fixtures" / "release-v1"


MakeVectors = Callable[..., FloatArray]
MakeExport = Callable[..., Path]


@pytest.fixture(scope="session")
def unit_vectors() -> MakeVectors:
    """Makes seeded unit vectors around cluster centres that depend on the dimension alone."""

    def make(count: int, dimension: int, *, seed: int, clusters: int = 100, spread: float = 0.5) -> FloatArray:
        centre_MD = np.random.default_rng(dimension).normal(size=(clusters, dimension))
        rng = np.random.default_rng(seed)
        vectors_ND = centre_MD[rng.integers(0, clusters, count)] + spread * rng.normal(size=(count, dimension))
        unit_ND: FloatArray = (vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)).astype(np.float32)
        return unit_ND

    return make


@pytest.fixture
def make_export(tmp_path: Path, unit_vectors: MakeVectors) -> MakeExport:
    """Publishes an export with the content of the fixture release and as many held-out interests as asked for."""
    source = open_release(FIXTURE)
    manifest = source.manifest

    def make(queries: int = 200, shares: bool = False) -> Path:
        root = tmp_path / "exports"
        with Staging(root) as staging:
            for name in EXPORT_FILES:
                shutil.copyfile(source.path(name), staging.folder / name)
            if queries > 0:
                np.save(staging.folder / QUERIES, unit_vectors(queries, manifest.encoder.dimension, seed=2))
            if shares:
                share_UK = np.random.default_rng(3).dirichlet(np.ones(manifest.encoder.interest_count), queries // 2)
                np.save(staging.folder / QUERY_SHARES, np.log(share_UK).astype(np.float32))
            publish_export(
                staging,
                "export",
                space_id=manifest.space_id,
                created_time=datetime(2026, 1, 2, tzinfo=UTC),
                encoder=manifest.encoder,
                half_life_s=manifest.half_life_s,
                scoring=manifest.scoring,
                training=manifest.training,
            )
        return root / "export"

    return make
