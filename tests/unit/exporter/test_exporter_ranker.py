"""Boosters as ONNX files: equal at every threshold, under any objective, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lightgbm
import numpy as np
import onnx
import onnxruntime as ort
import pytest

from unbraid_core.errors import IncompatibleError
from unbraid_core.types import FloatArray
from unbraid_exporter.ranker_onnx import export_trees
from unbraid_exporter.ranker_parity import RANKER_TOLERANCE, RankerParityReport, compare_rankers
from unbraid_exporter.ranker_rows import tree_rows
from unbraid_training.ranker.booster import BoosterRanker

FEATURES = ["affinity", "own_count", "log_popularity", "always_equal"]
ROW_COUNT = 3_000
SETTINGS = {"num_leaves": 15, "min_data_in_leaf": 5, "num_threads": 1, "verbose": -1, "deterministic": True}


@pytest.fixture(scope="module")
def feature_CF() -> FloatArray:
    """One feature of any value, one of small counts with many zeros, one negative, one without anything to split."""
    rng = np.random.default_rng(5)
    own_count_C = rng.poisson(0.4, ROW_COUNT)
    columns = rng.normal(size=ROW_COUNT), own_count_C, -rng.exponential(size=ROW_COUNT), np.ones(ROW_COUNT)
    return np.stack(columns, axis=1).astype(np.float32)


def trained(feature_CF: FloatArray, objective: str, rounds: int = 40, **settings: int) -> lightgbm.Booster:
    noise_C = np.random.default_rng(6).normal(size=ROW_COUNT)
    label_C = (feature_CF[:, 0] + feature_CF[:, 1] - feature_CF[:, 2] + noise_C > 2.0).astype(np.int64)
    group = [30] * (ROW_COUNT // 30) if objective == "lambdarank" else None
    data = lightgbm.Dataset(feature_CF, label_C, group=group, feature_name=FEATURES)
    return lightgbm.train(SETTINGS | settings | {"objective": objective}, data, num_boost_round=rounds)


def compared(booster: lightgbm.Booster, onnx_file: Path) -> RankerParityReport:
    trained = BoosterRanker(booster.model_to_string())
    return compare_rankers(trained, "LightGBM", lightgbm.__version__, tree_rows(booster), onnx_file)


@pytest.fixture(scope="module")
def booster(feature_CF: FloatArray) -> lightgbm.Booster:
    return trained(feature_CF, "binary")


@pytest.fixture(scope="module")
def onnx_file(booster: lightgbm.Booster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ranker") / "ranker.onnx"
    export_trees(booster, path)
    return path


def test_scores_are_log_odds(booster: lightgbm.Booster, onnx_file: Path, feature_CF: FloatArray) -> None:
    session = ort.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    [score_C1] = session.run(["score"], {"features": feature_CF})
    assert score_C1.shape == (ROW_COUNT, 1)
    probability_C = np.asarray(booster.predict(feature_CF), np.float64)
    np.testing.assert_allclose(1.0 / (1.0 + np.exp(-score_C1[:, 0])), probability_C, atol=1e-6)
    assert session.get_modelmeta().custom_metadata_map["features"].split("\n") == FEATURES


@pytest.mark.parametrize("objective", ["binary", "lambdarank", "regression"])
def test_any_objective_agrees_on_every_kind_of_row(feature_CF: FloatArray, tmp_path: Path, objective: str) -> None:
    booster = trained(feature_CF, objective)
    export_trees(booster, tmp_path / "ranker.onnx")

    report = compared(booster, tmp_path / "ranker.onnx")

    assert 0.0 < report.max_difference <= RANKER_TOLERANCE / 10
    rows = {case.name: case.rows for case in report.cases}
    split_count = sum(tree["num_leaves"] - 1 for tree in booster.dump_model()["tree_info"])
    assert rows["on and beside every threshold"] == 3 * split_count + 1
    assert RankerParityReport.model_validate_json(report.model_dump_json()) == report


def test_trees_without_a_split_can_be_exported(feature_CF: FloatArray, tmp_path: Path) -> None:
    booster = trained(feature_CF, "binary", rounds=1, min_data_in_leaf=ROW_COUNT)
    export_trees(booster, tmp_path / "ranker.onnx")
    assert compared(booster, tmp_path / "ranker.onnx").max_difference <= RANKER_TOLERANCE


def test_the_same_booster_gives_the_same_bytes(booster: lightgbm.Booster, onnx_file: Path, tmp_path: Path) -> None:
    export_trees(lightgbm.Booster(model_str=booster.model_to_string()), tmp_path / "ranker.onnx")
    assert (tmp_path / "ranker.onnx").read_bytes() == onnx_file.read_bytes()


def above(threshold: float) -> float:
    return float(np.nextafter(np.float32(threshold), np.float32(np.inf)))


@pytest.mark.parametrize(
    ("attribute", "damage"),
    [("nodes_values", above), ("target_weights", lambda leaf: leaf + 0.001), ("target_weights", lambda _: np.nan)],
    ids=["thresholds one number too high", "leaves that are off", "leaves that are no numbers"],
)
def test_a_file_of_other_trees_is_refused(
    booster: lightgbm.Booster, onnx_file: Path, tmp_path: Path, attribute: str, damage: Callable[[float], float]
) -> None:
    model = onnx.load(onnx_file)
    [numbers] = [each for node in model.graph.node for each in node.attribute if each.name == attribute]
    numbers.floats[:] = [damage(number) for number in numbers.floats]
    onnx.save(model, tmp_path / "ranker.onnx")

    with pytest.raises(IncompatibleError, match="the exported ranker differs from LightGBM by"):
        compared(booster, tmp_path / "ranker.onnx")
