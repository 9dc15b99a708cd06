"""Our service without a batcher, to be compared with it: python -m benchmarks.inline_server RELEASES PORT."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from unbraid_core.release import ReleaseStore
from unbraid_core.types import Query, Ranking
from unbraid_server.active_model import ActiveModel
from unbraid_server.allocator import keep_memory_together
from unbraid_server.batcher import Batcher, Caller
from unbraid_server.cores import keep_to_core
from unbraid_server.device import Device
from unbraid_server.logs import open_log
from unbraid_server.model import Model, load_model
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore

Answer = TypeVar("Answer")
Response = TypeVar("Response")


class Inline(Batcher):
    """Answers every call at once, in its own thread."""

    def answer(
        self,
        model: Model,
        queries: Sequence[Query],
        _caller: Caller,
        _client: str,
        finish: Callable[[list[Ranking]], Answer],
        write: Callable[[Sequence[Answer]], Sequence[Response]],
    ) -> Response:
        """See ``Batcher.answer``."""
        [response] = write([finish(model.pipeline.recommend(queries))])
        return response


def main() -> None:
    """Serve until the process is ended."""
    releases, port = Path(sys.argv[1]), int(sys.argv[2])
    keep_memory_together()
    keep_to_core(1)
    folder = releases.parent
    settings = ServerSettings(releases=releases, state=folder / "inline.db", port=port, interest_cache_mb=0)
    model = load_model(ReleaseStore(releases).open(), Device.CPU)
    active = ActiveModel(model, SqliteCatalogueStore(settings.catalogue_file))
    state, log = SqliteStateStore(settings.state), open_log("warning")
    server = Server(active, state, settings, log, now=time.time, batcher_type=Inline)
    gc.collect()
    gc.freeze()
    server.start()
    server.wait()


if __name__ == "__main__":
    main()
