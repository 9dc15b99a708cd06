"""The folder of releases: what there is, which one is active, and changing that."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import sleep

from unbraid_core.errors import Conflict, IncompatibleError, IntegrityError, NotFound
from unbraid_core.release.activations import Activation, ActivationLog
from unbraid_core.release.files import check_sizes
from unbraid_core.release.lock import FileLock
from unbraid_core.release.manifest import ReleaseManifest
from unbraid_core.release.release import Release, SignatureCheck, open_release, read_manifest
from unbraid_core.release.staging import Probe

__all__ = ["ReleaseStore", "ReleaseSummary"]

LOCK = ".lock"
REBUILD_LOCK = ".rebuild.lock"
LOCK_ATTEMPTS = 40
LOCK_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class ReleaseSummary:
    """One release as a list shows it.

    Attributes:
        created_time, parent: None where the manifest cannot be read.
        size_bytes: of all listed files; 0 where the manifest cannot be read.
        problem: why the release cannot be used, None where nothing is wrong at first sight.
    """

    release_id: str
    active: bool
    created_time: datetime | None
    parent: str | None
    size_bytes: int
    problem: str | None


class ReleaseStore:
    """The releases below a root folder. Reading needs no lock and no right to write.

    Args:
        root: the folder of releases; need not exist.
        is_signed: as in ``open_release``; releases without a good signature are neither opened nor activated.
    """

    def __init__(self, root: Path, is_signed: SignatureCheck | None = None) -> None:
        self.root = root
        self._is_signed = is_signed
        self._log = ActivationLog(root)

    def list(self) -> Sequence[ReleaseSummary]:
        """Every release, newest first, and those without a readable manifest last. Nothing is hashed."""
        current = self.current_id()
        summaries = [self._summary(release_id, release_id == current) for release_id in self._release_ids()]
        oldest = datetime.min.replace(tzinfo=UTC)
        return sorted(summaries, key=lambda each: (each.created_time or oldest, each.release_id), reverse=True)

    def current_id(self) -> str | None:
        """The active release, None where there is none."""
        return self._log.current()

    def current_stamp(self) -> tuple[int, int] | None:
        """Tells activations apart, those of the same release too, at the price of one system call.

        None where there is none.
        """
        return self._log.stamp()

    def previous_id(self) -> str | None:
        """The release that a rollback would activate, None where there is none."""
        there = self._release_ids()
        return next((release_id for release_id in self._log.earlier() if release_id in there), None)

    def manifest(self, release_id: str | None = None) -> ReleaseManifest:
        """The manifest of a release, of the active one by default; the files are not checked.

        Raises:
            NotFound: no such release, or none is active.
            IntegrityError, IncompatibleError: as ``parse_manifest``, or it belongs to another release.
        """
        folder = self._folder(release_id)
        return _named(read_manifest(folder, ReleaseManifest), folder)

    def open(self, release_id: str | None = None) -> Release:
        """Verify and load a release, the active one by default.

        Raises:
            NotFound: no such release, or none is active.
            IntegrityError, IncompatibleError: as ``open_release``, or it belongs to another release.
        """
        release = open_release(self._folder(release_id), self._is_signed)
        _named(release.manifest, release.folder)
        return release

    def activate(self, release_id: str, now: datetime, probe: Probe | None = None) -> None:
        """Make a release the active one, after it was verified.

        Args:
            release_id: which one.
            now: for the log, with a time zone.
            probe: gets the folder of the verified release, and raises where it does not work.

        Raises:
            NotFound: no such release.
            IntegrityError, IncompatibleError: the release is not fit for use; the active one stays.
            Conflict: another activation is under way.
        """
        self._folder(release_id)
        with self.locked():
            self._switch(Activation(time=now, release_id=release_id, rollback=False), probe)

    def rollback(self, now: datetime, probe: Probe | None = None, leave: str | None = None) -> str:
        """Activate the release that was active before, skipping those that are gone; called twice, go back two steps.

        Args:
            now: for the log, with a time zone.
            probe: as in ``activate``.
            leave: which release has to be active for that; None for whichever is.

        Returns:
            The release that is active now.

        Raises:
            NotFound: no release is active.
            Conflict: another one is to be left, there is none to go back to, or another activation is under way.
            IntegrityError, IncompatibleError: as ``activate``.
        """
        self._current()
        with self.locked():
            if leave not in (None, self.current_id()):
                raise Conflict(f"{self.root}: {leave!r} is not the active release, {self.current_id()} is")
            previous = self.previous_id()
            if previous is None:
                raise Conflict(f"{self.root}: no release was active before {self.current_id()}{self._choice()}")
            self._switch(Activation(time=now, release_id=previous, rollback=True), probe)
            return previous

    @contextmanager
    def rebuilding(self) -> Iterator[None]:
        """Within this context nobody else rebuilds a release of this folder.

        Raises:
            Conflict: somebody does; the message names the process.
        """
        path = self.root / REBUILD_LOCK
        lock = FileLock.take(path)
        if lock is None:
            holder = path.read_text() or "that has just begun"
            raise Conflict(f"{self.root}: process {holder} rebuilds a release already; wait for it, or stop it")
        with lock:
            lock.write(str(os.getpid()))
            yield

    def _switch(self, activation: Activation, probe: Probe | None) -> None:
        release = self.open(activation.release_id)
        if probe is not None:
            probe(release.folder)
        self._log.record(activation)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Within this context nobody else changes which release is active, or removes one.

        Raises:
            NotFound: there is no such folder.
            Conflict: somebody else does so, and has not finished for seconds.
        """
        if not self.root.is_dir():
            raise NotFound(f"{self.root}: no such folder; there are no releases")
        for _ in range(LOCK_ATTEMPTS):
            lock = FileLock.take(self.root / LOCK)
            if lock is not None:
                with lock:
                    yield
                return
            sleep(LOCK_PAUSE_S)
        raise Conflict(f"{self.root}: another activation is under way; wait for it and try again")

    def _summary(self, release_id: str, active: bool) -> ReleaseSummary:
        try:
            manifest = self.manifest(release_id)
        except (IntegrityError, IncompatibleError) as error:
            return ReleaseSummary(release_id, active, None, None, 0, error.message)
        problem = None
        try:
            check_sizes(self.root / release_id, manifest.files, manifest.file_name)
        except IntegrityError as error:
            problem = error.message
        size_bytes = sum(file.size for file in manifest.files.values())
        return ReleaseSummary(release_id, active, manifest.created_time, manifest.parent, size_bytes, problem)

    def _folder(self, release_id: str | None) -> Path:
        if release_id is None:
            release_id = self._current()
        if release_id not in self._release_ids():
            raise NotFound(f"{self.root}: no release {release_id!r}{self._choice()}")
        return self.root / release_id

    def _current(self) -> str:
        current = self.current_id()
        if current is None:
            raise NotFound(f"{self.root}: no release is active{self._choice()}")
        return current

    def _release_ids(self) -> Sequence[str]:
        """Names of the folders; whatever starts with a dot is not published, and links are not followed."""
        try:
            found = sorted(self.root.iterdir())
        except FileNotFoundError:
            return []
        return [each.name for each in found if each.name[0] != "." and each.is_dir() and not each.is_symlink()]

    def _choice(self) -> str:
        """The end of a message: what could be activated instead."""
        release_ids = self._release_ids()
        if release_ids:
            return f"; there are {', '.join(release_ids)}"
        return "; there are no releases" if self.root.is_dir() else "; there is no such folder"


def _named(manifest: ReleaseManifest, folder: Path) -> ReleaseManifest:
    """A release that was renamed would be found under one id and answer with another."""
    if manifest.release_id != folder.name:
        raise IntegrityError(f"{folder.name}/{manifest.file_name}: release_id: found {manifest.release_id!r}")
    return manifest
