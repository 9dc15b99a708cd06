"""Where the encoder runs: the choice between CUDA and CPU, and its reason.

ONNX Runtime answers a CUDA provider that cannot start with a log line and the CPU. So the driver is asked first, and
after a session was made its providers are compared with those that were asked for.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from unbraid_core.errors import DeviceUnavailable

__all__ = ["CPU_PROVIDER", "CUDA_PROVIDER", "Device", "DeviceChoice", "choose_device", "confirm_device"]

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"


class Device(StrEnum):
    """The device setting."""

    AUTO = "auto"
    CUDA = "cuda"
    CPU = "cpu"


@dataclass(frozen=True, slots=True)
class DeviceChoice:
    """A device, who wanted it, and why it is this one.

    Attributes:
        requested: the setting as it was given.
        active: cuda or cpu.
        reason: one line for the operator.
        providers: execution providers of ONNX Runtime, in order.
    """

    requested: Device
    active: Device
    reason: str
    providers: tuple[str, ...]


def choose_device(requested: Device, available_providers: Sequence[str]) -> DeviceChoice:
    """Decide by what this machine has.

    Args:
        requested: the setting.
        available_providers: those that this build of ONNX Runtime has.

    Raises:
        DeviceUnavailable: cuda was demanded and cannot be had; the message says why.
    """
    if requested is Device.CPU:
        return _on_cpu(requested, "the setting demands it")
    obstacle = _cuda_obstacle(available_providers)
    if obstacle is None:
        return DeviceChoice(requested, Device.CUDA, "a GPU was found", (CUDA_PROVIDER, CPU_PROVIDER))
    if requested is Device.CUDA:
        raise _unavailable(obstacle)
    return _on_cpu(requested, f"no CUDA: {obstacle}")


def confirm_device(choice: DeviceChoice, session_providers: Sequence[str]) -> DeviceChoice:
    """The choice as ONNX Runtime has carried it out.

    Raises:
        DeviceUnavailable: cuda was demanded, and the session fell back to the CPU.
    """
    if choice.active is Device.CPU or CUDA_PROVIDER in session_providers:
        return choice
    obstacle = "ONNX Runtime could not start its CUDA provider (its log names the missing CUDA or cuDNN library)"
    if choice.requested is Device.CUDA:
        raise _unavailable(obstacle)
    return _on_cpu(choice.requested, f"no CUDA: {obstacle}")


def _on_cpu(requested: Device, reason: str) -> DeviceChoice:
    return DeviceChoice(requested, Device.CPU, reason, (CPU_PROVIDER,))


def _unavailable(obstacle: str) -> DeviceUnavailable:
    return DeviceUnavailable(f"device: cuda was demanded, but {obstacle}; use --device auto or --device cpu")


def _cuda_obstacle(available_providers: Sequence[str]) -> str | None:
    """Why CUDA cannot be used, None where nothing speaks against it."""
    if CUDA_PROVIDER not in available_providers:
        return "this ONNX Runtime was built without CUDA (install onnxruntime-gpu)"
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA driver is installed (libcuda.so.1 was not found)"
    gpu_count = ctypes.c_int(0)
    code = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(gpu_count))
    if code or gpu_count.value == 0:
        return f"the NVIDIA driver reports no usable GPU (CUDA error {code}, {gpu_count.value} devices)"
    return None
