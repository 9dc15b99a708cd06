"""Every kind of call against a real server: it is answered, and answers are found to be right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from unbraid_load import CallKind, ClosedLoop, LoadPlan, OpenLoop, Question, Step, draw_histories, prepare, run_load
from unbraid_server.active_model import ActiveModel
from unbraid_server.logs import open_log
from unbraid_server.model import Model
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore

ITEMS = [f"{kind}{number:02}" for kind in "kc" for number in range(12)]


@pytest.fixture(scope="module")
def target(model_v1: Model, state_v1: SqliteStateStore, unchanged: SqliteCatalogueStore) -> Iterator[str]:
    server = Server(ActiveModel(model_v1, unchanged), state_v1, ServerSettings(port=0), open_log("critical"))
    yield f"127.0.0.1:{server.start()}"
    server.stop(grace_s=0)


@pytest.mark.parametrize("kind", CallKind)
@pytest.mark.parametrize("loop", [ClosedLoop(4, 0.6), OpenLoop([Step(60, 0.6)])], ids=["closed", "open"])
def test_calls_of_every_kind_are_answered_and_checked(target: str, kind: CallKind, loop: ClosedLoop | OpenLoop) -> None:
    subjects = ["nobody", *draw_histories(ITEMS, 63, 8, 20, now_s=1.7e9, seed=1)]
    requests = prepare(kind, Question(limit=5), subjects, batch_size=8)
    assert len(requests) == (8 if kind is CallKind.BATCH_RECOMMEND else 64)
    report = run_load(LoadPlan(target, kind, requests, loop, warm_up_s=0.0, timeout_s=20.0, check_share=1.0))
    assert report.total.outcomes.keys() == {"OK"}
    assert report.checked_count == report.total.call_count > 5
    assert report.problems == []


def test_refused_questions_of_a_stream_have_the_status_of_theirs(target: str) -> None:
    requests = prepare(CallKind.STREAM_RECOMMEND, Question(limit=-1), ["nobody"], batch_size=1)
    plan = LoadPlan(target, CallKind.STREAM_RECOMMEND, requests, ClosedLoop(2, 30.0), warm_up_s=0.0, count=10)
    assert {code: outcome.count for code, outcome in run_load(plan).total.outcomes.items()} == {"INVALID_ARGUMENT": 10}
