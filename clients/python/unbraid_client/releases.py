"""What calls about releases answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["Activation", "RebuildNews", "RebuildProgress", "RebuildResult", "ReleasePage", "ReleaseSummary"]


@dataclass(frozen=True, slots=True)
class ReleaseSummary:
    """One release; ``created_time`` is None where its manifest cannot be read, ``problem`` why it cannot be used."""

    release_id: str
    active: bool
    created_time: datetime | None
    parent: str | None
    size_bytes: int
    problem: str | None


@dataclass(frozen=True, slots=True)
class ReleasePage:
    """Some releases, newest first; ``next_page_token`` is empty where there are no more.

    ``release_id`` is the release that the server answers from.
    """

    release_id: str
    releases: tuple[ReleaseSummary, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class Activation:
    """The release that the server answers from now, and the one that was active before, None where none was."""

    release_id: str
    previous_release_id: str | None


@dataclass(frozen=True, slots=True)
class RebuildProgress:
    """How much of a step of a rebuild is done."""

    step: str
    done_count: int
    total_count: int


@dataclass(frozen=True, slots=True)
class RebuildResult:
    """A new release, the one that it was made of, and whether the server answers from it."""

    release_id: str
    parent: str
    active: bool


RebuildNews = RebuildProgress | RebuildResult
