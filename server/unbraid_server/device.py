"""Where the encoder runs: the choice between CUDA and CPU, and its reason.

ONNX Runtime answers a provider that cannot start with a log line and the next one. So the driver is asked first, and
after a session was made its providers are compared with those that were asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from unbraid_core.errors import DeviceUnavailable
from unbraid_server.cuda_driver import driver_obstacle
from unbraid_server.device_options import (
    CPU_PROVIDER,
    CUDA_PROVIDER,
    DEFAULT_OPTIONS,
    TENSORRT_PROVIDER,
    DeviceOptions,
)

__all__ = ["Device", "DeviceChoice", "choose_device", "confirm_device", "without_gpu"]


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
        options: the settings besides; those of a GPU mean nothing on the CPU.
    """

    requested: Device
    active: Device
    reason: str
    providers: tuple[str, ...]
    options: DeviceOptions = DEFAULT_OPTIONS


def choose_device(
    requested: Device, available_providers: Sequence[str], options: DeviceOptions = DEFAULT_OPTIONS
) -> DeviceChoice:
    """Decide by what this machine has.

    Args:
        requested: the setting.
        available_providers: those that this build of ONNX Runtime has.
        options: the settings besides; not both of CUDA graphs and TensorRT.

    Raises:
        DeviceUnavailable: cuda, CUDA graphs or TensorRT were demanded and cannot be had; the message says why.
    """
    if requested is Device.CPU:
        return _on_cpu(requested, "the setting demands it", options)
    obstacle = _cuda_obstacle(available_providers, options)
    if obstacle is not None:
        if requested is Device.CUDA:
            raise _unavailable(obstacle)
        return _on_cpu(requested, f"no CUDA: {obstacle}", options)
    providers = (CUDA_PROVIDER, CPU_PROVIDER)
    if options.tensorrt_cache is not None:
        if TENSORRT_PROVIDER not in available_providers:
            raise _no_tensorrt("this ONNX Runtime was built without TensorRT (install onnxruntime-gpu)")
        return DeviceChoice(requested, Device.CUDA, "a GPU was found", (TENSORRT_PROVIDER, *providers), options)
    return DeviceChoice(requested, Device.CUDA, "a GPU was found", providers, options)


def confirm_device(choice: DeviceChoice, session_providers: Sequence[str]) -> DeviceChoice:
    """The choice as ONNX Runtime has carried it out.

    Raises:
        DeviceUnavailable: cuda or TensorRT was demanded, and the session fell back to what comes after it.
    """
    if choice.active is Device.CPU:
        return choice
    if CUDA_PROVIDER not in session_providers:
        return without_gpu(
            choice, "ONNX Runtime could not start its CUDA provider (its log names the missing CUDA or cuDNN library)"
        )
    if TENSORRT_PROVIDER in choice.providers and TENSORRT_PROVIDER not in session_providers:
        raise _no_tensorrt("ONNX Runtime could not start its TensorRT provider (its log names the missing library)")
    return replace(choice, providers=tuple(session_providers))


def without_gpu(choice: DeviceChoice, obstacle: str) -> DeviceChoice:
    """What is left of a choice whose session could not start.

    Raises:
        DeviceUnavailable: the GPU, or something that only it can do, was demanded.
    """
    if choice.options.tensorrt_cache is not None:
        raise _no_tensorrt(obstacle)
    if choice.requested is Device.CUDA:
        raise _unavailable(obstacle)
    return _on_cpu(choice.requested, f"no CUDA: {obstacle}", choice.options)


def _on_cpu(requested: Device, reason: str, options: DeviceOptions) -> DeviceChoice:
    if options.cuda_graphs:
        raise DeviceUnavailable(f"cuda_graphs: CUDA graphs were demanded, but the encoder is on the CPU: {reason}")
    if options.tensorrt_cache is not None:
        raise _no_tensorrt(f"the encoder is on the CPU: {reason}")
    return DeviceChoice(requested, Device.CPU, reason, (CPU_PROVIDER,), options)


def _unavailable(obstacle: str) -> DeviceUnavailable:
    return DeviceUnavailable(f"device: cuda was demanded, but {obstacle}; use --device auto or --device cpu")


def _no_tensorrt(obstacle: str) -> DeviceUnavailable:
    return DeviceUnavailable(f"tensorrt_cache: TensorRT was demanded, but {obstacle}; leave tensorrt_cache out")


def _cuda_obstacle(available_providers: Sequence[str], options: DeviceOptions) -> str | None:
    """Why CUDA cannot be used, None where nothing speaks against it."""
    if CUDA_PROVIDER not in available_providers:
        return "this ONNX Runtime was built without CUDA (install onnxruntime-gpu)"
    return driver_obstacle(options.gpu_id)
