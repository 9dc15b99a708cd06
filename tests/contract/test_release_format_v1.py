"""A release that format version 1 wrote once. Every later unbraid must load it and give the same answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import onnxruntime
import pytest

from unbraid_core.encoding import pad_histories
from unbraid_core.release import Release, open_release
from unbraid_core.release.layout import INDEX, USER_ENCODER
from unbraid_core.types import FloatArray, History

FIXTURES = Path(__file__).parents[1] / "fixtures"
GOLDEN: list[dict[str, Any]] = json.loads((FIXTURES / "release-v1-golden.json").read_text())


@pytest.fixture(scope="module")
def release() -> Release:
    return open_release(FIXTURES / "release-v1")


@pytest.fixture(scope="module")
def session(release: Release) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(release.path(USER_ENCODER), providers=["CPUExecutionProvider"])


def history(release: Release, case: dict[str, Any]) -> History:
    time_s_N = 1_000_000_000.0 - np.array(case["age_s"])
    return History(release.catalogue.rows(case["item_ids"]), time_s_N, np.array(case["action"], np.int64))


def encode(
    session: onnxruntime.InferenceSession, release: Release, histories: list[History]
) -> tuple[FloatArray, FloatArray]:
    batch = pad_histories(histories, release.item_vectors_ID)
    inputs = {
        "item_vectors": batch.item_vectors_BLD,
        "age": batch.age_s_BL,
        "action": batch.action_BL,
        "mask": batch.mask_BL,
    }
    interests_BKD, assignment_BKL = session.run(["interests", "assignment"], inputs)
    return interests_BKD, assignment_BKL


def test_the_parts_are_what_they_were(release: Release) -> None:
    manifest = release.manifest
    assert (manifest.format_version, manifest.encoder.interest_count, manifest.encoder.dimension) == (1, 2, 8)
    assert manifest.encoder.actions == ["", "view", "purchase"]
    assert manifest.half_life_s == [604_800.0, 2_592_000.0]
    assert release.item_vectors_ID.shape == (24, 8)
    assert release.catalogue.title(release.catalogue.row("c09")) == "Toe clips"
    assert release.catalogue.categories(0) == ["kitchen"]
    assert np.exp(release.log_popularity_I).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("case", GOLDEN, ids=["mixed", "single event", "one sitting"])
def test_the_encoder_answers_as_it_did(
    release: Release, session: onnxruntime.InferenceSession, case: dict[str, Any]
) -> None:
    interests_BKD, assignment_BKL = encode(session, release, [history(release, case)])
    np.testing.assert_allclose(interests_BKD[0], case["interests"], atol=1e-5)
    np.testing.assert_allclose(assignment_BKL[0], case["assignment"], atol=1e-5)


def test_padding_changes_no_answer(release: Release, session: onnxruntime.InferenceSession) -> None:
    interests_BKD, assignment_BKL = encode(session, release, [history(release, case) for case in GOLDEN])
    np.testing.assert_allclose(np.linalg.norm(interests_BKD, axis=2), 1.0, atol=1e-6)
    for b, case in enumerate(GOLDEN):
        length = len(case["item_ids"])
        np.testing.assert_allclose(interests_BKD[b], case["interests"], atol=1e-5)
        np.testing.assert_allclose(assignment_BKL[b, :, :length], case["assignment"], atol=1e-5)
        np.testing.assert_allclose(assignment_BKL[b].sum(axis=0)[:length], 1.0, atol=1e-6)
        assert not assignment_BKL[b, :, length:].any()


def test_the_index_finds_what_the_vectors_say(release: Release) -> None:
    index = faiss.read_index(str(release.path(INDEX)), faiss.IO_FLAG_MMAP_IFC)
    queries_QD = np.array(GOLDEN[0]["interests"], np.float32)
    score_QC, row_QC = index.search(queries_QD, 12)
    product_QI = queries_QD @ release.item_vectors_ID[:].T
    expected_QC = np.argsort(-product_QI, axis=1)[:, :12]
    np.testing.assert_array_equal(row_QC, expected_QC)
    np.testing.assert_allclose(score_QC, np.take_along_axis(product_QI, expected_QC, axis=1), atol=1e-6)


def test_the_fixture_stays_small() -> None:
    files = [*(FIXTURES / "release-v1").rglob("*"), *FIXTURES.glob("*release*v1*")]
    assert sum(path.stat().st_size for path in files if path.is_file()) < 60_000
