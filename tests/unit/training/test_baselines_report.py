from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from unbraid_core.catalogue import Catalogue
from unbraid_training.baselines.comparison import Contender, Contest
from unbraid_training.baselines.plot import draw
from unbraid_training.baselines.report import BaselinesReport
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.splits import parse_split
from unbraid_training.evaluation.cases import Task

SPLIT = "before-2024-01-01"


@pytest.fixture
def report() -> BaselinesReport:
    """Six users with one target each: ``good`` finds all of them at rank 1, ``fair`` half of them, ``poor`` none."""
    user_E = np.repeat(np.arange(6), 6)
    row_E = np.tile(np.arange(6), 6)
    row_E[row_E == 5] = 6  # the target, which user 0 had in their training as well
    time_s_E = np.where(row_E == 6, 1_710_000_000.0, 1_680_000_000.0 + row_E)
    events = [np.append(user_E, 0), np.append(row_E, 6), np.append(time_s_E, 1.0), np.zeros(37, np.int64)]
    dataset = Dataset.of(Catalogue.of([f"i{row}" for row in range(8)]), list("abcdef"), [""], *events)
    contest = Contest(parse_split(SPLIT).apply(dataset), parse_split("before-2023-01-01"), Task.ALL, seed=1)
    target = contest.cases().targets[0][0]
    found, missed = np.full((6, 50), -1), np.full((6, 50), -1)
    found[:, 0], missed[:, 0] = target, target - 1
    half = np.where(np.arange(6)[:, None] % 2 == 0, found, missed)
    rows = {"poor": missed, "good": found, "fair": half}
    validation = {"poor": 0.1, "good": 0.2, "fair": 0.3}
    contenders = [Contender(name, f"setting of {name}", validation[name], rows[name]) for name in rows]
    cards = [contender.scorecard(contest.cases()) for contender in contenders]
    return BaselinesReport.of(contest, SPLIT, contenders, cards)


def test_the_best_comes_first_and_all_are_measured_against_the_best_on_validation(report: BaselinesReport) -> None:
    assert [result.name for result in report.results] == ["good", "fair", "poor"]
    assert report.bar == "fair"
    good, fair, poor = report.results
    assert [result.metrics["recall@20"].mean for result in report.results] == [1.0, 0.5, 0.0]
    assert fair.gain["ndcg@50"].low == fair.gain["ndcg@50"].high == 0.0
    assert good.gain["recall@50"].mean == 0.5
    assert good.gain["recall@50"].low < 0.5 < good.gain["recall@50"].high
    assert poor.gain["recall@50"].mean == -0.5
    assert good.coverage == 1 / 6
    assert fair.coverage == 2 / 6


def test_json_tells_the_whole_story_and_is_repeatable(report: BaselinesReport) -> None:
    told = json.loads(report.to_json())
    assert (told["split"], told["validation"], told["task"]) == (SPLIT, ["before-2023-01-01"], "all")
    assert (told["user_count"], told["item_count"], told["target_count"]) == (6, 6, 6)
    assert told["bar"] == "fair"
    assert [result["name"] for result in told["results"]] == ["good", "fair", "poor"]
    assert told["results"][1]["settings"] == "setting of fair"
    assert told["results"][1]["metrics"]["hr@20"]["mean"] == 0.5
    assert report.to_json() == report.to_json()


def test_markdown_has_a_line_with_as_many_cells_for_every_method_in_both_tables(report: BaselinesReport) -> None:
    text = report.to_markdown()
    assert "The bar, fair, is the best method there" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert [line.split("|")[1].strip() for line in tables] == ["", "---", "good", "fair", "poor"] * 2
    assert len({line.count("|") for line in tables[:5]}) == len({line.count("|") for line in tables[5:]}) == 1
    assert "| +0.5000 [+0." in tables[2]
    assert "0.5000 [" in tables[3]
    assert "| the bar |" in tables[3]
    assert "| -0.5000 [-0." in tables[4]
    assert "| setting of poor |" in tables[9]


def test_the_picture_is_an_svg_that_names_every_method_and_metric(report: BaselinesReport) -> None:
    image = draw(report)
    texts = {element.text for element in ET.fromstring(image).iter("{http://www.w3.org/2000/svg}text")}
    assert {"good", "fair", "poor", "recall@20", "recall@50", "ndcg@50"} <= texts
    assert draw(report) == image
