"""A lock that the kernel gives back when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

__all__ = ["FileLock"]


class FileLock:
    """An exclusive lock on a file, between processes as well as between threads; held until it is closed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> FileLock | None:
        """Lock a file, which is made if need be, without waiting.

        Returns:
            None where somebody else holds the lock, or took the file away before it could be locked.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except (FileNotFoundError, NotADirectoryError):
            return None
        lock = cls._locked(descriptor)
        if lock is not None and os.fstat(descriptor).st_nlink == 0:
            lock.close()
            return None
        return lock

    @classmethod
    def take_folder(cls, folder: Path) -> FileLock | None:
        """Lock a folder that exists, without waiting; None where anybody holds it, be it with a ``Lease``."""
        return cls._locked(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))

    @classmethod
    def _locked(cls, descriptor: int) -> FileLock | None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return cls(descriptor)

    def write(self, text: str) -> None:
        """Replace what the file says."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._descriptor)

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
