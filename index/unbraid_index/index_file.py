"""The file of an index; what keeps it from being written is the OSError that it is, such as a full disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import faiss

__all__ = ["write_index"]


def write_index(index: faiss.Index, path: Path) -> None:
    """Write an index.

    Raises:
        OSError: the file cannot be written.
    """
    try:
        faiss.write_index(index, str(path))
    except RuntimeError as error:
        # FAISS says what the system said, in words only.
        number = next((each for each in errno.errorcode if os.strerror(each) in str(error)), None)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error
