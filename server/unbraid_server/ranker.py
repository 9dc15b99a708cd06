"""The learned ranker under ONNX Runtime, behind the Ranker port."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unbraid_core.errors import IncompatibleError
from unbraid_core.release import RankerSpec
from unbraid_core.types import DoubleArray, FloatArray
from unbraid_server.device_options import CPU_PROVIDER
from unbraid_server.onnx_session import Ports, check_ports, open_session

__all__ = ["OnnxRanker"]

INPUTS: Ports = {"features": ("tensor(float)", "CF")}
OUTPUTS: Ports = {"score": ("tensor(float)", "C1")}


class OnnxRanker:
    """An exported ranker. Safe to call from several threads at once.

    It runs on the CPU on every machine: ONNX Runtime has no CUDA kernel for trees.

    Args:
        path: the verified ranker.onnx.
        spec: what the manifest says about it.

    Raises:
        IncompatibleError: not an ONNX model, or its inputs, outputs or features are not those of the manifest.
    """

    def __init__(self, path: Path, spec: RankerSpec) -> None:
        self._session = open_session(path, {CPU_PROVIDER: {}})
        sizes = {"F": len(spec.features), "1": 1}
        check_ports(path.name, "input", self._session.get_inputs(), INPUTS, sizes)
        check_ports(path.name, "output", self._session.get_outputs(), OUTPUTS, sizes)
        features = self._session.get_modelmeta().custom_metadata_map.get("features", "").split("\n")
        if features != spec.features:
            raise IncompatibleError(f"{path.name}: was exported for other features than the manifest lists")

    def score(self, feature_CF: FloatArray) -> DoubleArray:
        """Log odds that each candidate is what the user does next: float64 [C]."""
        [score_C1] = self._session.run(list(OUTPUTS), {"features": feature_CF})
        score_C: DoubleArray = score_C1[:, 0].astype(np.float64)
        return score_C
