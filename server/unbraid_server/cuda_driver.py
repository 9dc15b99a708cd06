"""What the NVIDIA driver says of the GPUs of this machine. It needs no CUDA library, and allocates nothing."""

from __future__ import annotations

import ctypes

__all__ = ["driver_obstacle", "gpu_memory_bytes"]


def driver_obstacle(gpu_id: int) -> str | None:
    """Why a GPU cannot be used, None where nothing speaks against it.

    Args:
        gpu_id: which one, as CUDA counts them.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA driver is installed (libcuda.so.1 was not found)"
    gpu_count = ctypes.c_int(0)
    code = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(gpu_count))
    if code or gpu_count.value == 0:
        return f"the NVIDIA driver reports no usable GPU (CUDA error {code}, {gpu_count.value} devices)"
    if gpu_id >= gpu_count.value:
        return f"there is no GPU {gpu_id}: this machine has {gpu_count.value}, counted from 0 (gpu_id)"
    return None


def gpu_memory_bytes(gpu_id: int) -> int:
    """All memory of a GPU that nothing speaks against, used or free."""
    driver = ctypes.CDLL("libcuda.so.1")
    device, memory_bytes = ctypes.c_int(0), ctypes.c_size_t(0)
    code = driver.cuDeviceGet(ctypes.byref(device), gpu_id) or driver.cuDeviceTotalMem_v2(
        ctypes.byref(memory_bytes), device
    )
    assert code == 0, f"CUDA error {code}"
    return memory_bytes.value
