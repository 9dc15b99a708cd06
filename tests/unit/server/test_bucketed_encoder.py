"""Encoding at few shapes, on the CPU: the answers are those of the shapes as they come."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unbraid_core.release import open_release
from unbraid_core.release.layout import USER_ENCODER
from unbraid_core.types import HistoryBatch
from unbraid_server.bucketed_encoder import LARGEST_BATCH, BucketedEncoder, Place
from unbraid_server.device import Device
from unbraid_server.device_options import CPU_PROVIDER
from unbraid_server.encoder import OnnxEncoder
from unbraid_server.onnx_session import open_session

TOLERANCE = 1e-6
MAX_HISTORY = 40


@pytest.fixture(scope="module")
def plain(release_v1: Path) -> OnnxEncoder:
    release = open_release(release_v1)
    return OnnxEncoder(release.path(USER_ENCODER), release.manifest.encoder, Device.CPU)


@pytest.fixture(scope="module")
def bucketed(release_v1: Path) -> BucketedEncoder:
    return opened(release_v1, graphs=False)


def opened(release_v1: Path, *, graphs: bool) -> BucketedEncoder:
    spec = open_release(release_v1).manifest.encoder.model_copy(update={"max_history": MAX_HISTORY})
    return BucketedEncoder(
        open_session(release_v1 / USER_ENCODER, {CPU_PROVIDER: {}}), spec, Place("cpu"), graphs=graphs
    )


def batch_of(lengths: list[int], seed: int = 0) -> HistoryBatch:
    rng = np.random.default_rng(seed)
    shape_BL = len(lengths), max(lengths)
    mask_BL = np.arange(shape_BL[1]) < np.array(lengths)[:, None]
    vectors_BLD = rng.normal(size=(*shape_BL, 8)).astype(np.float32)
    return HistoryBatch(
        item_vectors_BLD=vectors_BLD * mask_BL[:, :, None],
        age_s_BL=rng.uniform(0, 1e7, shape_BL).astype(np.float32) * mask_BL,
        action_BL=rng.integers(0, 3, shape_BL) * mask_BL,
        mask_BL=mask_BL,
    )


@given(st.lists(st.integers(1, MAX_HISTORY), min_size=1, max_size=LARGEST_BATCH + 20), st.integers(0, 99))
def test_padding_to_a_bucket_changes_no_answer(
    plain: OnnxEncoder, bucketed: BucketedEncoder, lengths: list[int], seed: int
) -> None:
    batch = batch_of(lengths, seed)
    answer, expected = bucketed.encode(batch), plain.encode(batch)
    np.testing.assert_allclose(answer.vectors_BKD, expected.vectors_BKD, atol=TOLERANCE)
    np.testing.assert_allclose(answer.assignment_BKL, expected.assignment_BKL, atol=TOLERANCE)


def test_an_answer_stays_when_the_next_batch_of_its_shape_is_encoded(bucketed: BucketedEncoder) -> None:
    answer = bucketed.encode(batch_of([4, 2]))
    before_BKD = answer.vectors_BKD.copy()
    assert not np.array_equal(bucketed.encode(batch_of([4, 2], seed=1)).vectors_BKD, before_BKD)
    np.testing.assert_array_equal(answer.vectors_BKD, before_BKD)


def test_the_newest_interests_stay_on_the_device_until_the_next_ones_do(bucketed: BucketedEncoder) -> None:
    answers = []
    for seed in range(2):
        vectors_QD = bucketed.encode(batch_of([4, 2, 1], seed)).vectors_BKD.reshape(-1, 8)
        left = bucketed.handover.find(vectors_QD.copy())
        assert left is not None
        answers.append((vectors_QD, left))
    assert bucketed.handover.find(answers[0][0]) is None
    for vectors_QD, left in answers:
        np.testing.assert_array_equal(left.numpy().reshape(-1, 8)[: len(vectors_QD)], vectors_QD)


def test_with_graphs_nothing_is_left_where_the_next_batch_will_write(release_v1: Path) -> None:
    encoder = opened(release_v1, graphs=True)
    vectors_QD = encoder.encode(batch_of([3])).vectors_BKD.reshape(-1, 8)
    assert encoder.handover.find(vectors_QD) is None


def test_one_thread_computes_for_all_callers_and_keeps_no_encoder(release_v1: Path) -> None:
    encoders = [opened(release_v1, graphs=graphs) for graphs in (False, True)]
    with ThreadPoolExecutor(4) as pool:
        for encoder in encoders * 10:
            pool.submit(encoder.encode, batch_of([3])).result()
    assert [thread.name for thread in threading.enumerate()].count("gpu_0") == 1
    left = [weakref.ref(each) for each in encoders]
    del encoder, encoders
    gc.collect()
    assert [each() for each in left] == [None, None]
