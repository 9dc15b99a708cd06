"""Looks at all workers behind an address."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from unbraid_cli.connection import open_client
from unbraid_client import ClientError, ServerStatus, UnbraidClient

__all__ = ["WorkerWatch"]

TIMEOUT_S = 2.0
# The kernel leads a connection to any worker: so many miss the second of two once in 256 looks.
TRIES_FOR_EACH = 8


class WorkerWatch:
    """Keeps a connection to each worker of a server that it has met, while the context lasts.

    A connection that comes to a worker which is known already, such as one whose own worker has ended, is closed.

    Args:
        server: ``host:port``.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._clients: list[UnbraidClient] = []

    def look(self) -> list[ServerStatus]:
        """What each worker says, by their numbers; those that were not met, or do not answer, are left out.

        Raises:
            InvalidInput: the environment says half of something, or a token would travel in plain text.
            ClientError: no worker answers.
        """
        statuses: dict[int, ServerStatus] = {}
        known, self._clients = self._clients, []
        failures = [self._ask(client, statuses) for client in known or [open_client(self._server)]]
        for failure in filter(None, failures):
            if not statuses:
                raise failure
        worker_count = max(status.worker_count for status in statuses.values())
        for _ in range(TRIES_FOR_EACH * (worker_count - len(statuses))):
            # One that does not answer at once would hold up all others.
            if len(statuses) == worker_count or self._ask(open_client(self._server), statuses) is not None:
                break
        return [statuses[number] for number in sorted(statuses)]

    def _ask(self, client: UnbraidClient, statuses: dict[int, ServerStatus]) -> ClientError | None:
        """Keep a client, and what its worker says, unless that is known; return why there is no answer."""
        try:
            status = client.get_status(timeout_s=TIMEOUT_S)
        except ClientError as error:
            client.close()
            return error
        if status.worker_number in statuses:
            client.close()
        else:
            statuses[status.worker_number] = status
            self._clients.append(client)
        return None

    def __enter__(self) -> Self:
        """Nothing to do: the first look connects."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        for client in self._clients:
            client.close()
