"""The files of a ranker: none is read that was changed, has impossible content, or belongs to other features."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid_core.errors import IncompatibleError, IntegrityError
from unbraid_core.features import FEATURE_NAMES
from unbraid_core.item_statistics import STATISTIC_NAMES
from unbraid_core.release import Staging, open_export, open_release, publish_export
from unbraid_core.release.layout import EXPORT_FILES, RANKER, RANKER_FILES


@pytest.fixture(scope="module")
def learned_folder(tmp_path_factory: pytest.TempPathFactory, release_learned: Path) -> Path:
    """A release with a ranker whose files are damaged and mended again."""
    return Path(shutil.copytree(release_learned, tmp_path_factory.mktemp("integrity") / "learned"))


ROWS_IM = np.arange(24, dtype=np.int32)[:, None]
ARRAYS = {
    "neighbour_rows.npy": ROWS_IM,
    "neighbour_weights.npy": np.ones((24, 1), np.float32),
    "factors.npy": np.ones((24, 4), np.float32),
    "item_statistics.npy": np.ones((24, len(STATISTIC_NAMES)), np.float32),
}


@pytest.mark.parametrize(
    ("name", "damaged", "kind", "problem"),
    [
        (
            "neighbour_rows.npy",
            ROWS_IM.astype(np.int64),
            IncompatibleError,
            "expected int32 [24, *], found int64 [24, 1]",
        ),
        ("neighbour_rows.npy", ROWS_IM[:20], IncompatibleError, "expected int32 [24, *], found int32 [20, 1]"),
        ("neighbour_rows.npy", ROWS_IM[:, :0], IncompatibleError, "found int32 [24, 0]"),
        ("neighbour_rows.npy", ROWS_IM + 1, IntegrityError, "a row is outside 0 to 23"),
        ("neighbour_rows.npy", ROWS_IM - 1, IntegrityError, "a row is outside 0 to 23"),
        ("neighbour_weights.npy", np.ones((24, 2), np.float32), IncompatibleError, "expected float32 [24, 1], found"),
        ("neighbour_weights.npy", np.full((24, 1), np.nan, np.float32), IntegrityError, "a value is not finite"),
        ("factors.npy", np.ones((24, 4)), IncompatibleError, "expected float32 [24, *], found float64 [24, 4]"),
        ("factors.npy", np.ones((23, 4), np.float32), IncompatibleError, "found float32 [23, 4]"),
        ("factors.npy", np.full((24, 4), np.inf, np.float32), IntegrityError, "a value is not finite"),
        ("item_statistics.npy", np.ones((24, 3), np.float32), IncompatibleError, "found float32 [24, 3]"),
        ("item_statistics.npy", np.full_like(ARRAYS["item_statistics.npy"], np.nan), IntegrityError, "finite"),
    ],
)
def test_impossible_arrays_of_a_ranker_are_refused_by_name(
    tmp_path: Path, release_learned: Path, name: str, damaged: np.ndarray, kind: type[Exception], problem: str
) -> None:
    export = export_of_ranker(tmp_path, release_learned, ARRAYS | {name: damaged})
    with pytest.raises(kind, match=re.escape(f"export/{name}: ") + f".*{re.escape(problem)}"):
        open_export(export)


@pytest.mark.parametrize(
    ("features", "problem"),
    [
        (["surprise", *FEATURE_NAMES[1:]], f"feature 0 is 'surprise', this unbraid computes {FEATURE_NAMES[0]!r}"),
        (FEATURE_NAMES[:-1], f"feature {len(FEATURE_NAMES) - 1} is none, this unbraid computes {FEATURE_NAMES[-1]!r}"),
        ([*FEATURE_NAMES, "more"], f"feature {len(FEATURE_NAMES)} is 'more', this unbraid computes none"),
    ],
)
def test_a_ranker_of_other_features_is_refused_with_the_fix(
    tmp_path: Path, release_learned: Path, features: Sequence[str], problem: str
) -> None:
    export = export_of_ranker(tmp_path, release_learned, ARRAYS, features)
    with pytest.raises(IncompatibleError, match=re.escape(problem) + ".*train the ranker again"):
        open_export(export)


def export_of_ranker(
    root: Path, release_learned: Path, arrays: Mapping[str, np.ndarray], features: Sequence[str] = FEATURE_NAMES
) -> Path:
    """The learned release as an export, with other arrays."""
    source = open_release(release_learned)
    assert source.manifest.ranker is not None
    with Staging(root) as staging:
        for required in (*EXPORT_FILES, RANKER):
            shutil.copyfile(source.path(required), staging.folder / required)
        for name, array in arrays.items():
            np.save(staging.folder / name, array)
        described = {field: getattr(source.manifest, field) for field in ("space_id", "created_time", "encoder")}
        numbers = {field: getattr(source.manifest, field) for field in ("half_life_s", "scoring", "training")}
        ranker = source.manifest.ranker.model_copy(update={"features": list(features)})
        publish_export(staging, "export", **described, **numbers, ranker=ranker)
    return root / "export"


@settings(max_examples=100)
@given(name=st.sampled_from(RANKER_FILES), where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_of_a_ranker_is_noticed(learned_folder: Path, name: str, where: float, bit: int) -> None:
    sound = (learned_folder / name).read_bytes()
    damaged = bytearray(sound)
    damaged[int(where * len(damaged))] ^= 1 << bit
    (learned_folder / name).write_bytes(damaged)
    with pytest.raises(IntegrityError, match=re.escape(f"learned/{name}: expected sha256")):
        open_release(learned_folder)
    (learned_folder / name).write_bytes(sound)


@pytest.mark.parametrize("name", RANKER_FILES)
def test_a_missing_file_of_a_ranker_is_named(learned_folder: Path, name: str) -> None:
    away = learned_folder.parent / "away"
    (learned_folder / name).rename(away)
    with pytest.raises(IntegrityError, match=re.escape(f"learned/{name}: expected ")):
        open_release(learned_folder)
    away.rename(learned_folder / name)


def test_a_release_without_a_ranker_has_none(release_v1: Path) -> None:
    release = open_release(release_v1)
    assert release.manifest.ranker is None
    assert release.ranker_inputs is None
