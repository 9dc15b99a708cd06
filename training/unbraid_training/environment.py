"""Where a run was computed: what one needs to know to get the same result again, or to see why it differs."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict

from unbraid_training.device import DeviceChoice
from unbraid_training.ranks import rank_count

__all__ = ["Environment"]

PACKAGES = ("unbraid", "torch", "numpy", "faiss-cpu", "implicit", "scipy", "pyarrow", "safetensors")


class Environment(BaseModel):
    """One process that worked on a run.

    Attributes:
        started_time: when it began, UTC.
        python: version.
        packages: version of each package that computes something.
        platform: operating system and kernel.
        processor: its name.
        core_count: cores that the process may use.
        memory_gib: of the machine.
        threads: of PyTorch.
        device, device_reason: on what was computed, and why.
        precision: in which numbers matrices were multiplied.
        process_count: processes that trained together.
    """

    model_config = ConfigDict(frozen=True)

    started_time: str
    python: str
    packages: dict[str, str]
    platform: str
    processor: str
    core_count: int
    memory_gib: float
    threads: int
    device: str
    device_reason: str
    precision: str
    process_count: int

    @classmethod
    def here(cls, choice: DeviceChoice) -> Environment:
        """The present process, which computes on a device."""
        return cls(
            started_time=datetime.now(UTC).isoformat(timespec="seconds"),
            python=platform.python_version(),
            packages={name: _version(name) for name in PACKAGES},
            platform=platform.platform(),
            processor=_processor(),
            core_count=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            threads=torch.get_num_threads(),
            device=str(choice.device),
            device_reason=choice.reason,
            precision=choice.precision,
            process_count=rank_count(),
        )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    """The name that Linux knows; other systems have it in ``platform``."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
