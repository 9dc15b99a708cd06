"""The dashboard is what Grafana imports: rules of its schema, as far as they can be checked without one."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

DASHBOARD = json.loads((Path(__file__).parents[2] / "docs" / "dashboard.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
GRAPHS = [panel for panel in PANELS if panel["type"] != "row"]
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
COLUMNS = 24
# What Grafana knows without a plug-in, and names of units that it has, of which we use some.
GRAPH_TYPES = {"timeseries", "stat", "gauge", "bargauge", "table", "heatmap", "histogram", "piechart", "text"}
UNITS = {"short", "none", "percentunit", "s", "ms", "bytes", "reqps", "ops", "cps"}
# Variables of Grafana itself.
OWN_VARIABLES = {"__rate_interval", "__interval", "__range"}


def of(panels: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("panel", panels, ids=lambda panel: panel["title"])


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    at = panel["gridPos"]
    return {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}


def label_names(query: str) -> set[str]:
    """What the result of a query is told apart by; for one that groups nothing, what every series has."""
    groups = re.findall(r"\bby \(([^)]*)\)", query)
    if not groups:
        return {"instance", "worker"}
    return set(re.split(r",\s*", groups[0])) - ({"le"} if "histogram_quantile" in query else set())


def test_the_dashboard_can_be_imported_anew_and_over_itself() -> None:
    assert DASHBOARD.get("id") is None
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", DASHBOARD["uid"])
    assert DASHBOARD["title"]
    assert isinstance(DASHBOARD["schemaVersion"], int)


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for one, other in combinations(PANELS, 2):
        assert not cells(one) & cells(other), (one["title"], other["title"])
    for panel in PANELS:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= COLUMNS


def test_rows_are_open_and_no_line_of_the_grid_is_left_empty() -> None:
    rows = [panel for panel in PANELS if panel["type"] == "row"]
    assert [row["gridPos"]["w"] for row in rows] == [COLUMNS] * len(rows)
    # A row that is shut has its panels inside, one that is open has them below.
    assert {(row["collapsed"], len(row["panels"])) for row in rows} == {(False, 0)}
    covered = set().union(*(cells(panel) for panel in PANELS))
    height = 1 + max(y for _, y in covered)
    assert len(covered) == COLUMNS * height


@of(GRAPHS)
def test_a_graph_is_of_a_known_kind_with_a_known_unit(panel: dict[str, Any]) -> None:
    assert panel["type"] in GRAPH_TYPES
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["fieldConfig"]["overrides"] == []


@of(GRAPHS)
def test_a_graph_asks_the_chosen_source(panel: dict[str, Any]) -> None:
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    references = [target["refId"] for target in panel["targets"]]
    assert references
    assert len(set(references)) == len(references)


@of(GRAPHS)
def test_queries_use_variables_that_are_defined_and_legends_labels_that_are_there(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        used = set(re.findall(r"\$\{?(\w+)", target["expr"]))
        assert "instance" in used
        assert used <= VARIABLES.keys() | OWN_VARIABLES
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= label_names(target["expr"])


def test_variables_are_those_of_the_queries_and_ask_the_chosen_source() -> None:
    assert VARIABLES.keys() == {"datasource", "instance"}
    assert (VARIABLES["datasource"]["type"], VARIABLES["datasource"]["query"]) == ("datasource", "prometheus")
    instance = VARIABLES["instance"]
    assert instance["type"] == "query"
    assert instance["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert instance["query"]["query"] == "label_values(unbraid_release, instance)"
    # Queries select by a regular expression, so all and several can be chosen.
    assert (instance["multi"], instance["includeAll"], instance["allValue"]) == (True, True, ".*")
    assert all('instance=~"$instance"' in target["expr"] for panel in GRAPHS for target in panel["targets"])
