"""The dashboard, the alerts and docs/metrics.md speak of metrics that a running server has, and of all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client import Metric

from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid_core.interest_cache import InterestCache
from unbraid_core.release import open_release
from unbraid_server.active_model import ActiveModel
from unbraid_server.device import Device
from unbraid_server.logs import open_log
from unbraid_server.model import load_model
from unbraid_server.server import Server
from unbraid_server.settings import ServerSettings
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore
from unbraid_server.worker_metrics import WorkerMetrics

DOCS = Path(__file__).parents[3] / "docs"
QUESTION = pb.RecommendRequest(
    history=pb.History(events=[pb.Event(item_id="k01", event_time=Timestamp(seconds=1_767_500_000))])
)
# What PromQL has of its own, as far as our queries use it.
WORDS = {"by", "sum", "avg", "min", "max", "count", "rate", "increase", "histogram_quantile", "min_over_time"}


@pytest.fixture(scope="module")
def exported(release_v1: Path, state_v1: SqliteStateStore, unchanged: SqliteCatalogueStore) -> dict[str, Metric]:
    """The families of a server that has answered a call, by name, and those that a supervisor adds."""
    model = load_model(open_release(release_v1), Device.CPU, InterestCache(10**6))
    server = Server(ActiveModel(model, unchanged), state_v1, ServerSettings(port=0), open_log("error"))
    with grpc.insecure_channel(f"127.0.0.1:{server.start()}") as channel:
        RecommendationServiceStub(channel).Recommend(QUESTION)
    families = {family.name: family for family in server.metrics.registry.collect()}
    server.stop(grace_s=0)
    of_supervisor = WorkerMetrics(ports=dict, ended_count=lambda: 0)
    return families | {family.name: family for family in of_supervisor.collect()}


@pytest.fixture(scope="module")
def labels_of(exported: dict[str, Metric]) -> dict[str, set[str]]:
    """The labels of every series, by its name."""
    return {sample.name: set(sample.labels) for family in exported.values() for sample in family.samples}


def dashboard_queries() -> Iterator[str]:
    dashboard = json.loads((DOCS / "dashboard.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def alert_queries() -> Iterator[str]:
    for line in (DOCS / "alerts.yml").read_text(encoding="utf-8").splitlines():
        if "expr:" in line:
            yield line.partition("expr:")[2].strip()


QUERIES = [*dashboard_queries(), *alert_queries()]


def series(query: str) -> set[str]:
    """The names in a query that stand for series: all but words of PromQL, labels, ranges and texts."""
    bare = re.sub(r'"[^"]*"|\[[^]]*\]|\{[^}]*\}|\bby \([^)]*\)', " ", query)
    return set(re.findall(r"[a-zA-Z_][a-zA-Z0-9_]*", bare)) - WORDS


def labels(query: str) -> set[str]:
    """The labels that a query selects or groups by."""
    selected = re.findall(r"(\w+)=~?\"", query)
    grouped = [label for group in re.findall(r"\bby \(([^)]*)\)", query) for label in re.split(r",\s*", group)]
    return {*selected, *grouped} - {"instance"}  # which Prometheus adds itself


def test_there_are_queries() -> None:
    assert len(list(dashboard_queries())) >= 30
    assert len(list(alert_queries())) == 8


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_names_series_and_labels_that_a_server_exports(query: str, labels_of: dict[str, set[str]]) -> None:
    named = series(query)
    assert named
    assert named <= labels_of.keys()
    assert labels(query) <= set().union(*(labels_of[name] for name in named))


def test_the_dashboard_shows_every_metric_of_ours(exported: dict[str, Metric]) -> None:
    shown = " ".join(dashboard_queries())
    assert [name for name in exported if name.startswith("unbraid_") and name not in shown] == []


def test_every_metric_of_ours_is_documented(exported: dict[str, Metric]) -> None:
    page = DOCS / "metrics.md"
    table = metrics_table(exported)
    assert table in page.read_text(encoding="utf-8"), f"{page} needs this table:\n{table}"


def metrics_table(exported: dict[str, Metric]) -> str:
    rows = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for name, family in exported.items():
        if name.startswith("unbraid_"):
            known = sorted({f"`{label}`" for sample in family.samples for label in sample.labels} - {"`le`"})
            full = f"{name}_total" if family.type == "counter" else name
            rows.append(f"| `{full}` | {family.type} | {', '.join(known)} | {family.documentation} |")
    return "\n".join(rows)
