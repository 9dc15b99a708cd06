"""The user encoder under ONNX Runtime, behind the Encoder port.

The names, types and shapes of its inputs and outputs are those of ``docs/architecture.md``: the item table is not
in the graph, so it stays small, and batch and length are free.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from unbraid_core.errors import IncompatibleError
from unbraid_core.release import EncoderSpec
from unbraid_core.types import HistoryBatch, InterestBatch
from unbraid_server.device import CUDA_PROVIDER, Device, DeviceChoice, choose_device, confirm_device

__all__ = ["INTRA_OP_THREADS", "OnnxEncoder"]

INTRA_OP_THREADS = 1

LOAD_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)

# A size that stands for itself is free; K, D and nothing else are numbers.
INPUTS = {
    "item_vectors": ("tensor(float)", "BLD"),
    "age": ("tensor(float)", "BL"),
    "action": ("tensor(int64)", "BL"),
    "mask": ("tensor(bool)", "BL"),
}
OUTPUTS = {"interests": ("tensor(float)", "BKD"), "assignment": ("tensor(float)", "BKL")}


class OnnxEncoder:
    """An exported user encoder. Safe to call from several threads at once.

    One call uses one thread: calls run side by side, and threads inside a call cost more than they give.

    Args:
        path: the verified user_encoder.onnx.
        spec: what the manifest says about it.
        device: where to run it.

    Attributes:
        device: the device in use, and why.

    Raises:
        DeviceUnavailable: cuda was demanded and cannot be had.
        IncompatibleError: not an ONNX model, or its inputs and outputs are not those of the manifest.
    """

    def __init__(self, path: Path, spec: EncoderSpec, device: Device) -> None:
        choice = choose_device(device, ort.get_available_providers())
        self._session = _open_session(path, choice)
        self.device: DeviceChoice = confirm_device(choice, self._session.get_providers())
        sizes = {"K": spec.interest_count, "D": spec.dimension}
        _check_ports(path.name, "input", self._session.get_inputs(), INPUTS, sizes)
        _check_ports(path.name, "output", self._session.get_outputs(), OUTPUTS, sizes)
        self._check_answer(path.name, spec)

    def encode(self, batch: HistoryBatch) -> InterestBatch:
        """Encode a batch in which every history has at least one event."""
        vectors_BKD, assignment_BKL = self._session.run(
            list(OUTPUTS),
            {
                "item_vectors": batch.item_vectors_BLD,
                "age": batch.age_s_BL,
                "action": batch.action_BL,
                "mask": batch.mask_BL,
            },
        )
        return InterestBatch(vectors_BKD, assignment_BKL)

    def _check_answer(self, name: str, spec: EncoderSpec) -> None:
        """Run once: a graph can leave the sizes of its outputs open, and promise what it does not keep."""
        probe = HistoryBatch(
            item_vectors_BLD=np.full((2, 3, spec.dimension), spec.dimension**-0.5, np.float32),
            age_s_BL=np.zeros((2, 3), np.float32),
            action_BL=np.zeros((2, 3), np.int64),
            mask_BL=np.array([[True, True, True], [True, False, False]]),
        )
        answer = self.encode(probe)
        shapes = answer.vectors_BKD.shape, answer.assignment_BKL.shape
        expected = (2, spec.interest_count, spec.dimension), (2, spec.interest_count, 3)
        if shapes != expected:
            raise IncompatibleError(f"{name}: answers with shapes {shapes}, the manifest promises {expected}")


def _open_session(path: Path, choice: DeviceChoice) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = INTRA_OP_THREADS
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if CUDA_PROVIDER in choice.providers:
        ort.preload_dlls()
    try:
        return ort.InferenceSession(path, options, providers=list(choice.providers))
    except LOAD_ERRORS as error:
        raise IncompatibleError(f"{path.name}: ONNX Runtime cannot load it: {str(error).splitlines()[0]}") from None


def _check_ports(
    name: str,
    kind: str,
    found: Sequence[ort.NodeArg],
    expected: dict[str, tuple[str, str]],
    sizes: dict[str, int],
) -> None:
    """Compare the inputs or outputs of a graph with the contract."""
    nodes = {node.name: node for node in found}
    if set(nodes) != set(expected):
        raise IncompatibleError(f"{name}: {kind}s are {sorted(nodes)}, expected {sorted(expected)}; export it again")
    for port, (element_type, axes) in expected.items():
        node = nodes[port]
        fits = node.type == element_type and len(node.shape) == len(axes)
        if not fits or not all(_size_fits(*each, sizes) for each in zip(node.shape, axes, strict=True)):
            promised = ", ".join(str(sizes.get(axis, axis)) for axis in axes)
            raise IncompatibleError(
                f"{name}: {kind} {port!r} is {node.type} {node.shape}, expected {element_type} [{promised}]; "
                "export it again"
            )


def _size_fits(size: int | str | None, axis: str, sizes: dict[str, int]) -> bool:
    """B and L must be free. K and D are what the manifest says, or left open and checked by a run."""
    if isinstance(size, int):
        return size == sizes.get(axis)
    return True
