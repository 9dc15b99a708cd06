"""What searches for items: the choice between the FAISS index and the device of the encoder, and its reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from unbraid_core.errors import DeviceUnavailable
from unbraid_server.cuda_driver import gpu_memory_bytes
from unbraid_server.device import Device, DeviceChoice
from unbraid_server.device_options import Retrieval

__all__ = ["RetrievalChoice", "choose_retrieval"]

LARGEST_SHARE = 1 / 4
"""Of the memory that may be used on a GPU. While one release takes over from another, both lie there."""


@dataclass(frozen=True, slots=True)
class RetrievalChoice:
    """What searches for items, who wanted it, and why it is this.

    Attributes:
        requested: the setting as it was given.
        active: index or device.
        reason: one line for the operator.
    """

    requested: Retrieval
    active: Retrieval
    reason: str


def choose_retrieval(
    device: DeviceChoice, matrix_bytes: int, memory_bytes: Callable[[int], int] = gpu_memory_bytes
) -> RetrievalChoice:
    """Decide by where the encoder runs, and whether the item vectors have room there.

    Args:
        device: of the encoder, with the setting.
        matrix_bytes: of all item vectors as float32.
        memory_bytes: of a GPU, by its number.

    Raises:
        DeviceUnavailable: retrieval on a GPU was demanded, and has no room there.
    """
    requested = device.options.retrieval
    if requested is Retrieval.INDEX:
        return RetrievalChoice(requested, Retrieval.INDEX, "the setting demands it")
    if device.active is Device.CPU:
        if requested is Retrieval.DEVICE:
            return RetrievalChoice(requested, Retrieval.DEVICE, "the setting demands it; the device is the CPU")
        return RetrievalChoice(requested, Retrieval.INDEX, "the encoder runs on the CPU")
    granted_bytes = memory_bytes(device.options.gpu_id)
    if device.options.gpu_memory_mb is not None:
        granted_bytes = min(granted_bytes, device.options.gpu_memory_mb * 2**20)
    takes = (
        f"{matrix_bytes / 2**20:,.0f} MB of item vectors are {matrix_bytes / granted_bytes:.0%} of the "
        f"{granted_bytes / 2**20:,.0f} MB of the GPU, {LARGEST_SHARE:.0%} are allowed"
    )
    if matrix_bytes <= LARGEST_SHARE * granted_bytes:
        return RetrievalChoice(requested, Retrieval.DEVICE, takes)
    if requested is Retrieval.DEVICE:
        raise DeviceUnavailable(f"retrieval: device was demanded, but {takes}; use retrieval auto or index")
    return RetrievalChoice(requested, Retrieval.INDEX, takes)
