"""The pipeline behind mosec, one worker: python -m benchmarks.peer_mosec RELEASES PORT."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.peer_pipeline import PeerPipeline
from mosec import Server, Worker

BATCH = 32
WAIT_MS = 1
RELEASES = "PEER_RELEASES"


class Recommend(Worker):  # type: ignore[misc]
    """Bytes in, bytes out."""

    def __init__(self) -> None:
        super().__init__()
        self._pipeline = PeerPipeline(Path(os.environ[RELEASES]))

    def deserialize(self, data: bytes) -> bytes:
        """As it came."""
        return data

    def serialize(self, data: bytes) -> bytes:
        """As it is."""
        return data

    def forward(self, data: list[bytes]) -> list[bytes]:
        """A batch, or a single request where no batches are asked for."""
        return self._pipeline.answer(data)


def main() -> None:
    """Serve until a signal comes."""
    releases, port = sys.argv[1:]
    os.environ[RELEASES] = releases
    sys.argv = [sys.argv[0], "--address", "127.0.0.1", "--port", port, "--log-level", "warning"]
    server = Server()
    server.append_worker(Recommend, num=1, max_batch_size=BATCH, max_wait_time=WAIT_MS)
    server.run()


if __name__ == "__main__":
    main()
