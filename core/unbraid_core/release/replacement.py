"""Replacing a small text file as a whole: whoever reads it, and whatever dies, sees the old text or the new one."""

from __future__ import annotations

from pathlib import Path

from unbraid_core.release.files import sync

__all__ = ["pending", "replace_text"]


def replace_text(path: Path, text: str) -> None:
    """Give a file a new text, by a rename, and wait until that is on the disk."""
    following = pending(path)
    following.write_text(text, "utf-8")
    sync(following)
    following.replace(path)
    sync(path.parent)


def pending(path: Path) -> Path:
    """Where the new text of a file stands until it takes its place; a process that is killed leaves it there."""
    return path.with_name(f".{path.name}.next")
