"""What a supervisor tells a worker, and what the worker tells it: one JSON line each."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from unbraid_server.settings import ServerSettings

__all__ = ["Ready", "Refusal", "WorkerNews", "WorkerOrder"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WorkerOrder(_Record):
    """How to serve, and as which of the workers; they are numbered from 1."""

    settings: ServerSettings
    number: int


class Ready(_Record):
    """Calls are accepted: where, by which release, and on which port metrics can be read."""

    address: str
    release_id: str
    metrics_port: int | None

    @property
    def line(self) -> str:
        """The same for a person, or for who has started the server and waits for it."""
        return f"listening on {self.address}, release {self.release_id}"


class Refusal(_Record):
    """Why a worker cannot start, one line for a person."""

    message: str


WorkerNews = Ready | Refusal
