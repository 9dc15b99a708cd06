"""Versions of unbraid and of the libraries that an answer depends on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import grpc
import numpy as np
import onnxruntime

__all__ = ["component_versions"]


def component_versions() -> dict[str, str]:
    """The version of each part, by its name."""
    return {
        "unbraid": _installed("unbraid"),
        "onnxruntime": onnxruntime.__version__,
        "faiss": _installed("faiss-cpu"),
        "numpy": np.__version__,
        "grpcio": grpc.__version__,
        "python": platform.python_version(),
    }


def _installed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # run from a source tree, or another build of FAISS
        return "unknown"
