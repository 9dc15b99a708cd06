"""The files of a folder: which there are, their digests, and getting them onto the disk for good."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from unbraid_core.errors import IntegrityError
from unbraid_core.release.layout import SIGNATURE
from unbraid_core.release.manifest import FileEntry

__all__ = ["check_sizes", "entries", "entry", "readable", "sync", "sync_tree", "verify"]


def entry(path: Path) -> FileEntry:
    """Size and sha256 of a file, read in one pass with constant memory."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return FileEntry(size=file.tell(), sha256=digest.hexdigest())


def entries(folder: Path) -> dict[str, FileEntry]:
    """Every file below a folder by its relative path, in order of the paths.

    Raises:
        IntegrityError: something in there is neither a plain file nor a folder.
    """
    return {path: entry(folder / path) for path, _ in sorted(_plain_files(folder))}


def check_sizes(folder: Path, files: Mapping[str, FileEntry], manifest: str) -> None:
    """Check all that can be checked without reading a file.

    Args:
        folder: an export or a release.
        files: what has to be in there.
        manifest: name of the manifest file, which is there and not listed; a signature of it need not be listed either.

    Raises:
        IntegrityError: a file is missing, not listed, of another size, or not a plain file, or a folder cannot be
            read; the message names it.
    """
    sizes = dict(_plain_files(folder))
    for path in sorted({*files, *sizes} - {manifest, SIGNATURE}):
        if path not in sizes:
            raise IntegrityError(f"{folder.name}/{path}: expected {files[path].size} bytes, found no such file")
        if path not in files:
            raise IntegrityError(f"{folder.name}/{path}: found a file that {manifest} does not list")
        if sizes[path] != files[path].size:
            raise IntegrityError(f"{folder.name}/{path}: expected {files[path].size} bytes, found {sizes[path]}")


def verify(folder: Path, files: Mapping[str, FileEntry], manifest: str) -> None:
    """Check that a folder holds exactly the listed files, byte for byte, and its manifest.

    Raises:
        IntegrityError: as ``check_sizes``, or a sha256 differs, or a file cannot be read.
    """
    check_sizes(folder, files, manifest)
    for path, expected in files.items():
        where = f"{folder.name}/{path}"
        with readable(where):
            found = entry(folder / path)
        if found != expected:
            raise IntegrityError(f"{where}: expected sha256 {expected.sha256}, found {found.sha256}")


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Within this context, what the operating system cannot read is an IntegrityError that says where."""
    try:
        yield
    except OSError as error:
        raise IntegrityError(f"{where}: {error.strerror}") from None


def sync(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until a folder and everything below it is on the disk."""
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def _plain_files(root: Path, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Relative path and size of each file below ``root``; what a link points to is never reached."""
    with readable(f"{root.name}/{prefix}"), os.scandir(root / prefix) as found:
        for item in found:
            status = item.stat(follow_symlinks=False)
            path = f"{prefix}{item.name}"
            if stat.S_ISDIR(status.st_mode):
                yield from _plain_files(root, f"{path}/")
            elif stat.S_ISREG(status.st_mode):
                yield path, status.st_size
            else:
                raise IntegrityError(f"{root.name}/{path}: expected a plain file, found a link or device")
