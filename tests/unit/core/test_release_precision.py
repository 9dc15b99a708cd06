"""Exports whose item vectors are stored as fp16 or int8: they open as float32, and damage is named."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from unbraid_core.errors import IncompatibleError, IntegrityError
from unbraid_core.item_vectors import CompactVectors, compact
from unbraid_core.release import Export, Staging, open_export, open_release, publish_export
from unbraid_core.types import Precision


def published(release_v1: Path, root: Path, stored_ID: npt.NDArray[np.generic], precision: Precision) -> Path:
    """The committed release as an export with other item vectors."""
    source = open_release(release_v1)
    with Staging(root) as staging:
        for required in ("user_encoder.onnx", "item_features.npy", "items.arrow"):
            shutil.copyfile(source.path(required), staging.folder / required)
        np.save(staging.folder / "item_vectors.npy", stored_ID)
        publish_export(
            staging,
            "mine",
            space_id=source.manifest.space_id,
            created_time=source.manifest.created_time,
            encoder=source.manifest.encoder,
            half_life_s=source.manifest.half_life_s,
            scoring=source.manifest.scoring,
            training=source.manifest.training,
            vector_precision=precision,
        )
    return root / "mine"


def stored(release_v1: Path, precision: Precision) -> npt.NDArray[np.generic]:
    return compact(open_release(release_v1).item_vectors_ID[:], precision)


@pytest.mark.parametrize("precision", [Precision.FP16, Precision.INT8])
def test_compact_vectors_open_as_float32(release_v1: Path, tmp_path: Path, precision: Precision) -> None:
    stored_ID = compact(open_release(release_v1).item_vectors_ID[:], precision)

    export: Export = open_export(published(release_v1, tmp_path, stored_ID, precision))

    assert export.manifest.vector_precision is precision
    assert export.manifest.encoder_precision is Precision.FP32
    np.testing.assert_array_equal(export.item_vectors_ID[:], CompactVectors(stored_ID)[:])
    assert export.item_vectors_ID[:].dtype == np.float32


def test_a_manifest_says_nothing_about_fp32(release_v1: Path, tmp_path: Path) -> None:
    vectors_ID = open_release(release_v1).item_vectors_ID[:]
    folder = published(release_v1, tmp_path, vectors_ID, Precision.FP32)
    assert "precision" not in (folder / "export.json").read_text()
    assert open_export(folder).manifest.vector_precision is Precision.FP32


@pytest.mark.parametrize(
    ("kept_as", "promised", "found"),
    [
        (Precision.FP16, Precision.INT8, "expected int8 [*, 8], found float16 [24, 8]"),
        (Precision.INT8, Precision.FP16, "expected float16 [*, 8], found int8 [24, 8]"),
        (Precision.INT8, Precision.FP32, "expected float32 [*, 8], found int8 [24, 8]"),
    ],
)
def test_vectors_that_are_not_stored_as_the_manifest_says_are_refused(
    release_v1: Path, tmp_path: Path, kept_as: Precision, promised: Precision, found: str
) -> None:
    folder = published(release_v1, tmp_path, stored(release_v1, kept_as), promised)
    with pytest.raises(IncompatibleError, match=re.escape(found)):
        open_export(folder)


@pytest.mark.parametrize(
    ("precision", "number", "problem"),
    [
        (Precision.INT8, 0.0, "row 3 has length 0.0, expected above 0"),
        (Precision.FP16, 0.0, "row 3 has length 0.0, expected above 0"),
        (Precision.FP16, np.inf, "row 3 has length inf"),
        (Precision.FP16, np.nan, "row 3 has length nan"),
    ],
)
def test_a_row_without_a_direction_is_refused(
    release_v1: Path, tmp_path: Path, precision: Precision, number: float, problem: str
) -> None:
    stored_ID = stored(release_v1, precision)
    stored_ID[3] = number
    with pytest.raises(IntegrityError, match=re.escape(problem)):
        open_export(published(release_v1, tmp_path, stored_ID, precision))
