"""Opening encoders: models that do not keep the contract, and devices that cannot be had."""

from __future__ import annotations

import json
from ctypes.util import find_library
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from unbraid_core.encoding import pad_histories
from unbraid_core.errors import DeviceUnavailable, IncompatibleError, Unavailable
from unbraid_core.release import EncoderSpec, open_release
from unbraid_core.release.layout import USER_ENCODER
from unbraid_core.types import History
from unbraid_server.device import Device, DeviceChoice, choose_device, confirm_device, without_gpu
from unbraid_server.device_options import CPU_PROVIDER, CUDA_PROVIDER, TENSORRT_PROVIDER, DeviceOptions
from unbraid_server.encoder import OnnxEncoder
from unbraid_server.onnx_session import open_session, taking_the_gpu, using_the_gpu

SPEC = EncoderSpec(architecture="hand-written", interest_count=2, dimension=8, max_history=6, actions=["", "a", "b"])
GOLDEN = Path(__file__).parents[2] / "fixtures" / "release-v1-golden.json"


@pytest.fixture
def graph(release_v1: Path) -> onnx.ModelProto:
    """The encoder of the committed release, to be spoiled."""
    return onnx.load(release_v1 / USER_ENCODER)


def opened(model: onnx.ModelProto, folder: Path, spec: EncoderSpec = SPEC) -> OnnxEncoder:
    path = folder / "user_encoder.onnx"
    onnx.save(model, path)
    return OnnxEncoder(path, spec, Device.CPU)


def test_answers_are_those_that_the_release_gave_when_it_was_made(release_v1: Path) -> None:
    release = open_release(release_v1)
    encoder = OnnxEncoder(release.path(USER_ENCODER), release.manifest.encoder, Device.CPU)
    for case in json.loads(GOLDEN.read_text()):
        history = History(
            release.catalogue.rows(case["item_ids"]), -np.array(case["age_s"]), np.array(case["action"], np.int64)
        )
        answer = encoder.encode(pad_histories([history], release.item_vectors_ID))
        np.testing.assert_allclose(answer.vectors_BKD[0], case["interests"], atol=1e-5)
        np.testing.assert_allclose(answer.assignment_BKL[0], case["assignment"], atol=1e-5)


def test_another_name_is_refused(graph: onnx.ModelProto, tmp_path: Path) -> None:
    graph.graph.input[1].name = "seconds"
    for node in graph.graph.node:
        node.input[:] = ["seconds" if name == "age" else name for name in node.input]
    with pytest.raises(IncompatibleError, match=r"inputs are .*'seconds'"):
        opened(graph, tmp_path)


def test_another_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match=r"input 'action' is tensor\(float\)"):
        opened(echoing_model({**PORT_TYPES, "action": TensorProto.FLOAT}), tmp_path)


def test_a_fixed_batch_is_refused(graph: onnx.ModelProto, tmp_path: Path) -> None:
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    with pytest.raises(IncompatibleError, match=r"input 'item_vectors' .* expected tensor\(float\) \[B, L, 8\]"):
        opened(graph, tmp_path)


@pytest.mark.parametrize("change", [{"dimension": 16}, {"interest_count": 4}])
def test_sizes_that_the_manifest_does_not_promise_are_refused(
    graph: onnx.ModelProto, tmp_path: Path, change: dict[str, int]
) -> None:
    with pytest.raises(IncompatibleError, match="expected tensor"):
        opened(graph, tmp_path, SPEC.model_copy(update=change))


def test_output_sizes_that_a_graph_leaves_open_are_checked_by_a_run(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match=r"answers with shapes \(\(2, 3, 8\), \(2, 3, 3\)\)"):
        opened(echoing_model(PORT_TYPES), tmp_path)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "user_encoder.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(IncompatibleError, match=r"user_encoder\.onnx: ONNX Runtime cannot load it"):
        OnnxEncoder(path, SPEC, Device.CPU)


PORT_TYPES: dict[str, int] = {
    "item_vectors": TensorProto.FLOAT,
    "age": TensorProto.FLOAT,
    "action": TensorProto.INT64,
    "mask": TensorProto.BOOL,
}


def echoing_model(types: dict[str, int]) -> onnx.ModelProto:
    """A graph with the right ports that has as many interests as a history has events."""
    sizes: dict[str, list[str | int | None]] = {name: ["b", "l"] for name in types}
    sizes["item_vectors"].append(8)
    inputs = [helper.make_tensor_value_info(name, types[name], sizes[name]) for name in types]
    outputs = [
        helper.make_tensor_value_info("interests", TensorProto.FLOAT, ["b", "k", 8]),
        helper.make_tensor_value_info("assignment", TensorProto.FLOAT, ["b", "k", "l"]),
    ]
    nodes = [
        helper.make_node("Identity", ["item_vectors"], ["interests"]),
        helper.make_node("Transpose", ["item_vectors"], ["transposed"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["item_vectors", "transposed"], ["assignment"]),
    ]
    graph = helper.make_graph(nodes, "echo", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.no_gpu
def test_cuda_that_cannot_be_had_is_an_error_with_the_reason(release_v1: Path) -> None:
    with pytest.raises(DeviceUnavailable, match=r"cuda was demanded, but .*; use --device auto or --device cpu"):
        OnnxEncoder(release_v1 / USER_ENCODER, SPEC, Device.CUDA)


@pytest.mark.no_gpu
def test_auto_takes_the_cpu_and_says_why(release_v1: Path) -> None:
    choice = OnnxEncoder(release_v1 / USER_ENCODER, SPEC, Device.AUTO).device
    assert choice.active is Device.CPU
    assert choice.providers == (CPU_PROVIDER,)
    assert choice.reason.startswith("no CUDA: ")


def test_a_build_without_cuda_says_what_to_install() -> None:
    with pytest.raises(DeviceUnavailable, match="install onnxruntime-gpu"):
        choose_device(Device.CUDA, [CPU_PROVIDER])
    assert choose_device(Device.AUTO, [CPU_PROVIDER]).reason.endswith("(install onnxruntime-gpu)")


def test_a_session_that_fell_back_is_noticed() -> None:
    providers = (CUDA_PROVIDER, CPU_PROVIDER)
    demanded = DeviceChoice(Device.CUDA, Device.CUDA, "a GPU was found", providers)
    assert confirm_device(demanded, providers) == demanded
    with pytest.raises(DeviceUnavailable, match="could not start its CUDA provider"):
        confirm_device(demanded, [CPU_PROVIDER])
    fallen_back = confirm_device(DeviceChoice(Device.AUTO, Device.CUDA, "a GPU was found", providers), [CPU_PROVIDER])
    assert (fallen_back.active, fallen_back.providers) == (Device.CPU, (CPU_PROVIDER,))


def test_a_gpu_whose_session_does_not_start_is_left_only_if_nobody_demanded_it() -> None:
    on_gpu = DeviceChoice(Device.AUTO, Device.CUDA, "a GPU was found", (CUDA_PROVIDER, CPU_PROVIDER))
    left = without_gpu(on_gpu, "its memory is full")
    assert (left.active, left.reason, left.providers) == (Device.CPU, "no CUDA: its memory is full", (CPU_PROVIDER,))
    with pytest.raises(DeviceUnavailable, match=r"cuda was demanded, but its memory is full; use --device auto"):
        without_gpu(replace(on_gpu, requested=Device.CUDA), "its memory is full")
    with pytest.raises(DeviceUnavailable, match=r"cuda_graphs: CUDA graphs were demanded, but .* its memory is full"):
        without_gpu(replace(on_gpu, options=DeviceOptions(cuda_graphs=True)), "its memory is full")
    with pytest.raises(DeviceUnavailable, match="tensorrt_cache: TensorRT was demanded, but its memory is full"):
        without_gpu(replace(on_gpu, options=DeviceOptions(tensorrt_cache=Path("engines"))), "its memory is full")


@pytest.mark.skipif(TENSORRT_PROVIDER not in ort.get_available_providers(), reason="built without TensorRT")
@pytest.mark.skipif(find_library("nvinfer") is not None, reason="TensorRT is installed")
def test_a_provider_that_does_not_start_is_an_error_and_nothing_is_printed(
    release_v1: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DeviceUnavailable, match=r"the GPU cannot be used for user_encoder\.onnx: .*TensorRT"):
        open_session(release_v1 / USER_ENCODER, {TENSORRT_PROVIDER: {}, CPU_PROVIDER: {}})
    assert capfd.readouterr().out == ""


OUT_OF_MEMORY = (
    "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:154 std::conditional_t<THRW, void, common::Status> "
    "onnxruntime::CudaCall(ERRTYPE) CUDA failure 2: out of memory ; GPU=0 ; hostname=h ; expr=cudaMalloc(&p, size);"
)


def test_what_a_gpu_says_is_told_without_the_functions_that_it_came_through() -> None:
    refused = r"cannot be used for retrieval: CUDA failure 2: out of memory$"
    with pytest.raises(DeviceUnavailable, match=refused), taking_the_gpu("retrieval"):
        raise RuntimeError(OUT_OF_MEMORY)
    unanswered = r"^the GPU could not answer: CUDA failure 2: out of memory; ask again later$"
    with pytest.raises(Unavailable, match=unanswered), using_the_gpu():
        raise RuntimeError(OUT_OF_MEMORY)


def test_cpu_is_taken_without_looking_for_a_gpu(release_v1: Path) -> None:
    choice = OnnxEncoder(release_v1 / USER_ENCODER, SPEC, Device.CPU).device
    assert choice == DeviceChoice(Device.CPU, Device.CPU, "the setting demands it", (CPU_PROVIDER,))
