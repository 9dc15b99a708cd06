"""Folders that appear complete or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from unbraid_core.errors import Conflict
from unbraid_core.release.files import sync, sync_tree
from unbraid_core.release.lock import FileLock
from unbraid_core.release.manifest import ExportManifest, dump_manifest, seal_manifest

__all__ = ["Probe", "Staging", "add_file"]

PREFIX = ".staging-"
LOCK = "lock"

M = TypeVar("M", bound=ExportManifest)

Probe = Callable[[Path], None]
"""Gets the folder of a release, and raises where that does not work."""


class Staging:
    """A temporary folder under a root, to be filled and then published under its final name.

    Used as a context manager; what was not published at the end is removed, and so is what killed writers left behind.

    Args:
        root: the folder in which the published folder will appear; made if need be.

    Attributes:
        folder: write the files here; exists within the context.
    """

    folder: Path

    def __init__(self, root: Path) -> None:
        self.root = root

    def __enter__(self) -> Staging:
        self.root.mkdir(parents=True, exist_ok=True)
        _sweep(self.root)
        self._home, self._lock = _claim(self.root)
        # The lock lies beside the folder and not in it, so that it can be held until the folder has left.
        self.folder = self._home / "content"
        self.folder.mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            shutil.rmtree(self._home, ignore_errors=True)

    def publish(self, name: str, manifest: M, probe: Probe | None = None) -> M:
        """Add the manifest, wait until everything is on the disk, and move the folder to its final name.

        Args:
            name: which one that is.
            manifest: not sealed yet.
            probe: gets the folder when all of it is on the disk, and raises where it must not be published.

        Returns:
            The manifest as it was stored.

        Raises:
            Conflict: the name is taken.
        """
        target = self.root / name
        sealed = seal_manifest(manifest)
        # It has its name already, for messages; what the temporary folder around it hides is where it lies.
        self.folder = self.folder.rename(self._home / name)
        (self.folder / sealed.file_name).write_bytes(dump_manifest(sealed))
        sync_tree(self.folder)
        if probe is not None:
            probe(self.folder)
        try:
            self.folder.rename(target)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise Conflict(f"{target} exists already; published folders are never changed") from None
            raise
        sync(self.root)
        return sealed


def add_file(folder: Path, name: str, content: bytes) -> None:
    """Put a file into a published folder, or replace it, in one step and for good."""
    with Staging(folder.parent) as staging:
        path = staging.folder / name
        path.write_bytes(content)
        sync(path)
        path.replace(folder / name)
    sync(folder)


def _claim(root: Path) -> tuple[Path, FileLock]:
    """A new home for a folder, and its lock.

    A sweeping writer may take the home for a leftover in the moment before it is locked; then the next name is tried.
    """
    while True:
        home = root / f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        home.mkdir()
        lock = FileLock.take(home / LOCK)
        if lock is not None:
            return home, lock


def _sweep(root: Path) -> None:
    """Remove the homes that nobody holds; one of another account is left to that account."""
    for home in root.glob(f"{PREFIX}*"):
        with suppress(PermissionError):
            lock = FileLock.take(home / LOCK)
            if lock is not None:
                with lock:
                    shutil.rmtree(home, ignore_errors=True)
