"""The user encoder under ONNX Runtime, behind the Encoder port.

The names, types and shapes of its inputs and outputs are those of ``docs/architecture.md``: the item table is not
in the graph, so it stays small, and batch and length are free.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort

from unbraid_core.errors import IncompatibleError
from unbraid_core.release import EncoderSpec
from unbraid_core.types import HistoryBatch, InterestBatch
from unbraid_server.device import Device, DeviceChoice, choose_device, confirm_device
from unbraid_server.onnx_session import Ports, check_ports, open_session

__all__ = ["OnnxEncoder"]

INPUTS: Ports = {
    "item_vectors": ("tensor(float)", "BLD"),
    "age": ("tensor(float)", "BL"),
    "action": ("tensor(int64)", "BL"),
    "mask": ("tensor(bool)", "BL"),
}
OUTPUTS: Ports = {"interests": ("tensor(float)", "BKD"), "assignment": ("tensor(float)", "BKL")}


class OnnxEncoder:
    """An exported user encoder. Safe to call from several threads at once.

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
        self._session = open_session(path, choice.providers)
        self.device: DeviceChoice = confirm_device(choice, self._session.get_providers())
        sizes = {"K": spec.interest_count, "D": spec.dimension}
        check_ports(path.name, "input", self._session.get_inputs(), INPUTS, sizes)
        check_ports(path.name, "output", self._session.get_outputs(), OUTPUTS, sizes)
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
