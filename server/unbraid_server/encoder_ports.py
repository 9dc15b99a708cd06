"""The inputs and outputs of an exported user encoder: names, types and shapes are those of ``docs/architecture.md``."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from unbraid_core.types import HistoryBatch
from unbraid_server.onnx_session import Ports

__all__ = ["INPUTS", "OUTPUTS", "fed"]

INPUTS: Ports = {
    "item_vectors": ("tensor(float)", "BLD"),
    "age": ("tensor(float)", "BL"),
    "action": ("tensor(int64)", "BL"),
    "mask": ("tensor(bool)", "BL"),
}
OUTPUTS: Ports = {"interests": ("tensor(float)", "BKD"), "assignment": ("tensor(float)", "BKL")}


def fed(batch: HistoryBatch) -> dict[str, npt.NDArray[Any]]:
    """A batch as the inputs."""
    return {
        "item_vectors": batch.item_vectors_BLD,
        "age": batch.age_s_BL,
        "action": batch.action_BL,
        "mask": batch.mask_BL,
    }
