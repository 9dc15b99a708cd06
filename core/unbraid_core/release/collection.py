"""Removing the releases that nobody needs any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unbraid_core.errors import InvalidInput
from unbraid_core.release.lock import FileLock
from unbraid_core.release.staging import Staging
from unbraid_core.release.store import ReleaseStore, ReleaseSummary

__all__ = ["Verdict", "collect_releases", "folded_sequence"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one release.

    Attributes:
        kept_because: why it is still there, None where it was removed.
    """

    summary: ReleaseSummary
    kept_because: str | None


def collect_releases(store: ReleaseStore, keep_count: int) -> Sequence[Verdict]:
    """Remove all releases but the newest ones, the active one, the one that a rollback goes to, and those in use.

    A folder without a readable manifest is left alone: it may be anything. A process that is killed meanwhile leaves
    whole releases and a staging folder, which the next writer sweeps away.

    Args:
        store: the releases.
        keep_count: how many of the newest releases stay, whatever their use.

    Returns:
        A verdict on every release, newest first.

    Raises:
        InvalidInput: keep_count is negative.
        NotFound: there is no folder of releases.
        Conflict: an activation is under way.
    """
    if keep_count < 0:
        raise InvalidInput("keep", f"{keep_count} is negative; say how many of the newest releases stay")
    with store.locked(), Staging(store.root) as bin_:
        newest_first = store.list()
        needed: dict[str | None, str] = {
            **{summary.release_id: f"among the newest {keep_count}" for summary in newest_first[:keep_count]},
            store.previous_id(): "a rollback goes there",
            store.current_id(): "active",
        }
        return [
            Verdict(summary, needed.get(summary.release_id) or _remove(store, summary, bin_))
            for summary in newest_first
        ]


def folded_sequence(store: ReleaseStore) -> int:
    """Number of the last change of the live catalogue that every readable release has folded in; nobody needs it."""
    readable = (summary.release_id for summary in store.list() if summary.created_time is not None)
    return min((store.manifest(release_id).catalogue_sequence for release_id in readable), default=0)


def _remove(store: ReleaseStore, summary: ReleaseSummary, bin_: Staging) -> str | None:
    """Move a release into a folder that will be removed; or the reason why not."""
    if summary.created_time is None:
        return f"not read: {summary.problem}"
    folder = store.root / summary.release_id
    lock = FileLock.take_folder(folder)
    if lock is None:
        return "a process has it open"
    with lock:
        folder.rename(bin_.folder / summary.release_id)
    return None
