"""The ONNX file: its signature, its dynamic shapes, and what it does not hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid_core.encoding import pad_histories
from unbraid_core.types import FloatArray, History
from unbraid_training.checkpoint import Checkpoint
from unbraid_training.torch_encoder import TorchEncoder


@pytest.fixture(scope="session")
def session(onnx_file: Path) -> ort.InferenceSession:
    return ort.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])


def test_signature(session: ort.InferenceSession) -> None:
    assert [(value.name, value.type, value.shape) for value in session.get_inputs()] == [
        ("item_vectors", "tensor(float)", ["batch", "length", 16]),
        ("age", "tensor(float)", ["batch", "length"]),
        ("action", "tensor(int64)", ["batch", "length"]),
        ("mask", "tensor(bool)", ["batch", "length"]),
    ]
    assert [(value.name, value.type, value.shape) for value in session.get_outputs()] == [
        ("interests", "tensor(float)", ["batch", 4, 16]),
        ("assignment", "tensor(float)", ["batch", 4, "length"]),
    ]


def test_all_weights_are_in_the_one_file(onnx_file: Path) -> None:
    model = onnx.load(onnx_file, load_external_data=False)

    assert all(weights.data_location == onnx.TensorProto.DEFAULT for weights in model.graph.initializer)


def test_the_file_says_which_space_it_defines_and_who_made_it(
    session: ort.InferenceSession, checkpoint: Checkpoint
) -> None:
    properties = session.get_modelmeta().custom_metadata_map

    assert properties.keys() == {"space_id", "unbraid_version"}
    assert properties["space_id"] == checkpoint.space_id


def test_no_path_of_this_machine_is_in_the_file(onnx_file: Path) -> None:
    assert b".py" not in onnx_file.read_bytes()


@settings(deadline=None, max_examples=60)
@given(lengths=st.lists(st.integers(1, 70), min_size=1, max_size=12), seed=st.integers(0, 2**32 - 1))
def test_any_batch_and_length_answers_as_pytorch_does(
    checkpoint: Checkpoint,
    session: ort.InferenceSession,
    item_vectors_ID: FloatArray,
    lengths: list[int],
    seed: int,
) -> None:
    generator = np.random.default_rng(seed)
    histories = [
        History(
            generator.integers(0, len(item_vectors_ID), length),
            np.sort(generator.uniform(0.0, 1e9, length)),
            generator.integers(0, len(checkpoint.actions), length),
        )
        for length in lengths
    ]
    batch = pad_histories(histories, item_vectors_ID)

    interests_BKD, assignment_BKL = session.run(
        ["interests", "assignment"],
        {
            "item_vectors": batch.item_vectors_BLD,
            "age": batch.age_s_BL,
            "action": batch.action_BL,
            "mask": batch.mask_BL,
        },
    )

    expected = TorchEncoder(checkpoint.encoder).encode(batch)
    np.testing.assert_allclose(interests_BKD, expected.vectors_BKD, rtol=0, atol=1e-5)
    np.testing.assert_allclose(assignment_BKL, expected.assignment_BKL, rtol=0, atol=1e-5)
    np.testing.assert_allclose(assignment_BKL.sum(axis=1), batch.mask_BL, rtol=0, atol=1e-5)
