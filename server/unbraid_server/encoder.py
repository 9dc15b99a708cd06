"""The user encoder under ONNX Runtime, behind the Encoder port.

The item table is not in the graph, so it stays small, and batch and length are free.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort

from unbraid_core.errors import DeviceUnavailable, IncompatibleError
from unbraid_core.release import EncoderSpec
from unbraid_core.types import HistoryBatch, InterestBatch
from unbraid_server.bucketed_encoder import BucketedEncoder, Place, shape_ranges
from unbraid_server.device import Device, DeviceChoice, choose_device, confirm_device, without_gpu
from unbraid_server.device_options import DEFAULT_OPTIONS, DeviceOptions, provider_options
from unbraid_server.encoder_ports import INPUTS, OUTPUTS, fed
from unbraid_server.handover import Handover
from unbraid_server.onnx_session import check_ports, open_session, taking_the_gpu

__all__ = ["OnnxEncoder"]


class OnnxEncoder:
    """An exported user encoder. Safe to call from several threads at once.

    On a GPU it runs as a ``BucketedEncoder``; on the CPU, where padding costs like events, at the shapes that come.

    Args:
        path: the verified user_encoder.onnx.
        spec: what the manifest says about it.
        device: where to run it.
        options: how, on a GPU.

    Attributes:
        device: the device in use, and why.
        handover: the interests of the newest batch on a GPU, for a searcher there.

    Raises:
        DeviceUnavailable: what was demanded cannot be had.
        IncompatibleError: not an ONNX model, or its inputs and outputs are not those of the manifest.
    """

    def __init__(self, path: Path, spec: EncoderSpec, device: Device, options: DeviceOptions = DEFAULT_OPTIONS) -> None:
        choice = choose_device(device, ort.get_available_providers(), options)
        try:
            self._session = open_session(path, provider_options(choice.providers, options, shape_ranges(spec)))
        except DeviceUnavailable as error:
            choice = without_gpu(choice, error.message.removeprefix("device: "))
            self._session = open_session(path, provider_options(choice.providers, options))
        self.device: DeviceChoice = confirm_device(choice, self._session.get_providers())
        sizes = {"K": spec.interest_count, "D": spec.dimension}
        check_ports(path.name, "input", self._session.get_inputs(), INPUTS, sizes)
        check_ports(path.name, "output", self._session.get_outputs(), OUTPUTS, sizes)
        self._bucketed: BucketedEncoder | None = None
        self.handover = Handover()
        if self.device.active is Device.CUDA:
            place = Place("cuda", options.gpu_id)
            self._bucketed = BucketedEncoder(self._session, spec, place, graphs=options.cuda_graphs)
            self.handover = self._bucketed.handover
            with taking_the_gpu(path.name):
                self._bucketed.warm_up()
        self._check_answer(path.name, spec)

    def encode(self, batch: HistoryBatch) -> InterestBatch:
        """Encode a batch in which every history has at least one event."""
        if self._bucketed is not None:
            return self._bucketed.encode(batch)
        return InterestBatch(*self._session.run(list(OUTPUTS), fed(batch)))

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
