"""What a server and the process that rebuilds for it tell each other."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

__all__ = ["Failure", "News", "Order", "Progress", "Rebuilt"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Order(_Record):
    """What to rebuild; without a release_id the active release."""

    releases: Path
    catalogue: Path
    public_key: Path | None
    release_id: str | None
    recall: float
    activate: bool


class Progress(_Record):
    """How much of a step is done."""

    step: str
    done: int
    total: int


class Rebuilt(_Record):
    """The new release, and the one that it was made of."""

    release_id: str
    parent: str


class Failure(_Record):
    """An error, so that the server can raise it: reason of its class, message and metadata."""

    reason: str
    message: str
    metadata: dict[str, str]


News = Progress | Rebuilt | Failure
