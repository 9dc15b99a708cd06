from __future__ import annotations

import json

import numpy as np
import pytest

from unbraid_core.catalogue import Catalogue
from unbraid_core.types import Profile
from unbraid_training.data.dataset import Dataset
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.metrics import METRICS, RANK_COUNT
from unbraid_training.evaluation.report import Answers, EvaluationReport, Setting

NO_EVENTS = np.empty(0, np.int32)


def report() -> EvaluationReport:
    """Forty users with one target each: the judged system has it at rank 1 for all, the baseline for every second."""
    items = Catalogue.of([f"i{row}" for row in range(100)])
    train = Dataset(items, [f"u{n}" for n in range(40)], [""], NO_EVENTS, NO_EVENTS, np.empty(0), NO_EVENTS)
    cases = Cases(Task.NEW, train, np.arange(40), np.zeros(40), [np.array([7])] * 40, 3)
    right_R = np.concatenate([[7], np.full(RANK_COUNT - 1, -1)])
    wrong_R = np.concatenate([[8], np.full(RANK_COUNT - 1, -1)])
    baseline = Answers("popularity", np.stack([right_R, wrong_R] * 20), half_life_s=86_400.0)
    setting = Setting.of(cases, "r1", "last-10", Profile.FORMULA, seed=5)
    return EvaluationReport.of(cases, setting, Answers("unbraid", np.stack([right_R] * 40)), [baseline])


def test_json_says_everything_and_is_stable() -> None:
    text = report().to_json()
    assert text == report().to_json()
    content = json.loads(text)
    assert content["format_version"] == 1
    assert content["method"] == {"confidence": 0.95, "resamples": 10_000, "coverage_cutoff": 50}
    assert content["setting"] == {
        "release_id": "r1",
        "split": "last-10",
        "task": "new",
        "profile": "formula",
        "seed": 5,
        "user_count": 40,
        "item_count": 100,
        "target_count": 40,
        "outside_count": 3,
    }
    unbraid, popularity = content["systems"]
    assert (unbraid["system"], unbraid["half_life_s"], unbraid["coverage"]) == ("unbraid", None, 0.01)
    assert (popularity["system"], popularity["half_life_s"], popularity["coverage"]) == ("popularity", 86_400.0, 0.02)
    assert unbraid["metrics"]["recall@20"] == {"mean": 1.0, "low": 1.0, "high": 1.0}
    half = popularity["metrics"]["ndcg@50"]
    assert half["mean"] == 0.5
    assert 0.3 < half["low"] < 0.5 < half["high"] < 0.7
    (gain,) = content["gains"]
    assert gain["baseline"] == "popularity"
    assert gain["metrics"]["ndcg@50"]["mean"] == 0.5
    assert gain["metrics"]["ndcg@50"]["low"] == pytest.approx(1 - half["high"], abs=0.03)


def test_tables_have_a_line_for_each_metric() -> None:
    systems, gains = report().system_rows(), report().gain_rows()
    assert systems[0] == ["", "unbraid", "popularity"]
    assert [line[0] for line in systems[1:]] == [*METRICS, "coverage@50"]
    assert systems[1][1] == "1.000 [1.000, 1.000]"
    assert systems[-1] == ["coverage@50", "0.010", "0.020"]
    assert gains[0] == ["gain of unbraid", "over popularity"]
    assert [line[0] for line in gains[1:]] == list(METRICS)
    assert gains[1][1].startswith("+0.500 [+0.")
