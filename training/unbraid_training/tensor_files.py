"""safetensors files; what keeps one from being written is the OSError that it is, such as a full disk."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from safetensors import SafetensorError, numpy
from safetensors.torch import save_file

__all__ = ["save_arrays", "save_tensors"]


def save_arrays(arrays: Mapping[str, npt.NDArray[Any]], path: Path) -> None:
    """Write arrays by name.

    Raises:
        OSError: the file cannot be written.
    """
    with _writing(path):
        numpy.save_file(dict(arrays), path)


def save_tensors(tensors: Mapping[str, torch.Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write tensors by name, and text about them.

    Raises:
        OSError: the file cannot be written.
    """
    with _writing(path):
        save_file(dict(tensors), path, metadata)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
