"""What the watcher of the catalogue says when it cannot follow."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from unbraid_core.errors import Unavailable
from unbraid_core.item_change import Item, ItemChange
from unbraid_server.active_model import ActiveModel
from unbraid_server.catalogue_watcher import CatalogueWatcher
from unbraid_server.logs import open_log
from unbraid_server.model import Model
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore

TIMEOUT_S = 20.0


class FailingStore(SqliteCatalogueStore):
    """Reads changes only after it has failed a few times."""

    failures_left = 0
    failure: Exception = Unavailable("catalogue.sqlite: locked")

    def changes(self, after: int) -> Sequence[ItemChange]:
        if self.failures_left > 0:
            self.failures_left -= 1
            raise self.failure
        return super().changes(after)


@pytest.mark.parametrize("failure", [Unavailable("catalogue.sqlite: locked"), RuntimeError("locked")])
def test_a_failure_is_logged_once_and_the_watcher_goes_on(
    model_v1: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str], failure: Exception
) -> None:
    store = FailingStore(tmp_path / "catalogue.sqlite")
    active = ActiveModel(model_v1, store)
    store.failure, store.failures_left = failure, 3
    SqliteCatalogueStore(tmp_path / "catalogue.sqlite").apply([ItemChange("k00", Item("k00", "changed"))])
    watcher = CatalogueWatcher(active, open_log("error"))
    watcher.start()
    deadline_s = time.monotonic() + TIMEOUT_S
    while active.current().delta.sequence == 0:
        assert time.monotonic() < deadline_s
    watcher.stop()
    store.close()
    [line] = capsys.readouterr().err.splitlines()
    assert (json.loads(line)["event"], store.failures_left) == ("catalogue not followed", 0)
    assert "locked" in json.loads(line)["error"]
