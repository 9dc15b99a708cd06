"""What training computes on: the choice between CUDA and CPU, and its reason."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from unbraid_core.errors import DeviceUnavailable
from unbraid_training.experiment import Device

__all__ = ["CPU", "DeviceChoice", "choose_device"]


@dataclass(frozen=True, slots=True)
class DeviceChoice:
    """A device, and why it is this one.

    Attributes:
        device: of PyTorch; under torchrun every process of a machine has a GPU of its own.
        reason: one line for a person.
    """

    device: torch.device
    reason: str

    @property
    def precision(self) -> str:
        """In which numbers matrices are multiplied; everything else is float32."""
        return "bf16" if self.device.type == "cuda" else "fp32"

    def autocast(self) -> AbstractContextManager[object]:
        """Within this context the forward pass has that precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


CPU = DeviceChoice(torch.device("cpu"), "the setting demands it")


def choose_device(requested: Device) -> DeviceChoice:
    """Decide by what this machine has.

    Raises:
        DeviceUnavailable: cuda was demanded and cannot be had; the message says why.
    """
    if requested == "cpu":
        return CPU
    place = int(os.environ.get("LOCAL_RANK", "0"))
    obstacle = _obstacle(place)
    if obstacle is None:
        device = torch.device("cuda", place)
        return DeviceChoice(device, f"found {torch.cuda.get_device_name(device)}")
    if requested == "cuda":
        raise DeviceUnavailable(f"device: cuda was demanded, but {obstacle}; use --device auto or --device cpu")
    return DeviceChoice(CPU.device, f"no CUDA: {obstacle}")


def _obstacle(place: int) -> str | None:
    """Why the process at a place among those of this machine cannot have a GPU."""
    if not torch.backends.cuda.is_built():
        return f"this build of PyTorch ({torch.__version__}) has no CUDA"
    count = torch.cuda.device_count()
    if count == 0:
        return "PyTorch finds no GPU (nvidia-smi shows whether the driver does)"
    if place >= count:
        return f"there are {count} GPUs for at least {place + 1} processes"
    device = torch.device("cuda", place)
    if not torch.cuda.get_device_properties(device).major >= 8:
        return f"{torch.cuda.get_device_name(device)} has no bf16 (compute capability 8.0 or newer)"
    return None
