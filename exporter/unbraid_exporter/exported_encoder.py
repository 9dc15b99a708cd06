"""An exported ONNX file as an encoder: what the export is checked and measured with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from unbraid_core.types import HistoryBatch, InterestBatch
from unbraid_exporter.onnx_export import INPUT_NAMES, OUTPUT_NAMES

__all__ = ["ExportedEncoder", "onnx_inputs"]


class ExportedEncoder:
    """A user encoder under ONNX Runtime, on one thread of the CPU. An implementation of the Encoder port.

    Args:
        onnx_file: a file with the inputs and outputs of ``export_onnx``.
    """

    def __init__(self, onnx_file: Path) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])

    def encode(self, batch: HistoryBatch) -> InterestBatch:
        """Encode a batch in which every history has at least one event."""
        vectors_BKD, assignment_BKL = self._session.run(OUTPUT_NAMES, onnx_inputs(batch))
        return InterestBatch(vectors_BKD, assignment_BKL)


def onnx_inputs(batch: HistoryBatch) -> dict[str, npt.NDArray[np.generic]]:
    """A batch by the names of the inputs of the graph."""
    arrays = (batch.item_vectors_BLD, batch.age_s_BL, batch.action_BL, batch.mask_BL)
    return dict(zip(INPUT_NAMES, arrays, strict=True))
