"""Saying that a release is in use, so that nobody takes it away."""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path

from unbraid_core.errors import NotFound
from unbraid_core.release.files import readable

__all__ = ["Lease"]


class Lease:
    """A shared lock on the folder of a release. It ends with the object, or with the process, however that ends.

    The mappings of a release outlive its folder, so nothing breaks without one. But a server that runs a release which
    is no longer there could not be started again with it.
    """

    def __init__(self, descriptor: int) -> None:
        weakref.finalize(self, os.close, descriptor)

    @classmethod
    def take(cls, folder: Path) -> Lease:
        """Share the lock on a folder.

        Raises:
            NotFound: the folder is being removed.
            IntegrityError: it cannot be read.
        """
        with readable(folder.name):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        lease = cls(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotFound(f"{folder.name}: is being removed; choose another release") from None
        return lease
