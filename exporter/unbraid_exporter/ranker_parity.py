"""Does ranker.onnx score as LightGBM does? Asked on random rows and where the two could part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnxruntime as ort
from pydantic import BaseModel, ConfigDict

from unbraid_core.errors import IncompatibleError
from unbraid_core.types import DoubleArray, FloatArray
from unbraid_exporter.ranker_onnx import INPUT_NAME, OUTPUT_NAME

__all__ = ["RANKER_TOLERANCE", "RankerParityCase", "RankerParityReport", "check_ranker_parity"]

# Both walk the same paths; LightGBM adds the leaves up in double, ONNX Runtime in single precision. Hundreds of leaves
# of a few tenths each leave 1e-6, while a single wrong turn shows in the second decimal.
RANKER_TOLERANCE = 1e-4

SEED = 20_231_102
RANDOM_ROWS = 4_096
EXTREME_SHARE = 0.2
LARGEST = float(np.finfo(np.float32).max)
EXTREMES_V = np.array([0.0, -0.0, 1e-35, -1e-35, 1e-45, LARGEST, -LARGEST, np.inf, -np.inf], np.float32)
BOTTOM, TOP = np.float32(-np.inf), np.float32(np.inf)

# A split or a leaf, as LightGBM dumps it.
Node = Mapping[str, Any]


class RankerParityCase(BaseModel):
    """One comparison: the largest absolute difference of the log odds over that many rows."""

    model_config = ConfigDict(frozen=True)

    name: str
    rows: int
    score_error: float


class RankerParityReport(BaseModel):
    """All comparisons of a ranker, in the order in which they were made."""

    model_config = ConfigDict(frozen=True)

    tolerance: float
    lightgbm_version: str
    onnxruntime_version: str
    cases: tuple[RankerParityCase, ...]

    @property
    def max_difference(self) -> float:
        """The largest difference of all."""
        return max(case.score_error for case in self.cases)


def check_ranker_parity(booster: lightgbm.Booster, onnx_file: Path) -> RankerParityReport:
    """Compare ONNX Runtime on the CPU with the raw scores of LightGBM.

    Args:
        booster: what the file was exported from.
        onnx_file: what was exported.

    Raises:
        IncompatibleError: a difference above the tolerance, or a value that is no number; the message names the rows.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])
    cases = []
    for name, feature_CF in _rows(booster):
        expected_C = booster.predict(feature_CF, raw_score=True, num_threads=1)
        [found_C1] = session.run([OUTPUT_NAME], {INPUT_NAME: feature_CF})
        error = float(np.abs(found_C1[:, 0] - expected_C).max())
        # Asked this way round, so that a difference that is no number fails as well.
        if not error <= RANKER_TOLERANCE:
            raise IncompatibleError(
                f"the exported ranker differs from LightGBM by {error:.1e} on {name}; "
                f"{RANKER_TOLERANCE:.0e} is allowed, so nothing was exported"
            )
        cases.append(RankerParityCase(name=name, rows=len(feature_CF), score_error=error))
    return RankerParityReport(
        tolerance=RANKER_TOLERANCE,
        lightgbm_version=lightgbm.__version__,
        onnxruntime_version=ort.__version__,
        cases=tuple(cases),
    )


def _rows(booster: lightgbm.Booster) -> Iterator[tuple[str, FloatArray]]:
    """The rows of the check; ordinary values are spread over the range of the thresholds, and a little beyond."""
    generator = np.random.default_rng(SEED)
    trees = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    low_F, high_F = _threshold_range(trees, booster.num_feature())

    def ordinary(count: int) -> FloatArray:
        return generator.uniform(low_F - 1.0, high_F + 1.0, (count, len(low_F))).astype(np.float32)

    mixed_CF = ordinary(RANDOM_ROWS)
    extreme_CF = generator.random(mixed_CF.shape) < EXTREME_SHARE
    mixed_CF[extreme_CF] = generator.choice(EXTREMES_V, int(extreme_CF.sum()))
    beside = [row_F for tree in trees for row_F in _beside_thresholds(tree, ordinary(1)[0])]
    yield "ordinary values", ordinary(RANDOM_ROWS)
    yield "one row", ordinary(1)
    yield "whole numbers", np.rint(ordinary(RANDOM_ROWS))
    yield "on and beside every threshold", np.stack([ordinary(1)[0], *beside])
    yield "one extreme value throughout", np.repeat(EXTREMES_V[:, None], len(low_F), axis=1)
    yield "extreme values here and there", mixed_CF


def _threshold_range(trees: Sequence[Node], feature_count: int) -> tuple[DoubleArray, DoubleArray]:
    """The smallest and the largest threshold of every feature, 0 and 0 of one that no tree asks for."""
    thresholds: list[list[float]] = [[] for _ in range(feature_count)]
    nodes = list(trees)
    while nodes:
        node = nodes.pop()
        if "split_feature" in node:
            thresholds[node["split_feature"]].append(node["threshold"])
            nodes += node["left_child"], node["right_child"]
    ends_F2 = np.array([(min(own), max(own)) if own else (0.0, 0.0) for own in thresholds])
    return ends_F2[:, 0], ends_F2[:, 1]


def _beside_thresholds(node: Node, row_F: FloatArray) -> Iterator[FloatArray]:
    """Rows that reach each split below a node, with the three single-precision numbers around its threshold."""
    if "split_feature" not in node:
        return
    feature = node["split_feature"]
    nearest = np.float32(node["threshold"])
    below, above = np.nextafter(nearest, BOTTOM), np.nextafter(nearest, TOP)
    for value in (below, nearest, above):
        yield _with(row_F, feature, value)
    yield from _beside_thresholds(node["left_child"], _with(row_F, feature, np.minimum(row_F[feature], below)))
    yield from _beside_thresholds(node["right_child"], _with(row_F, feature, np.maximum(row_F[feature], above)))


def _with(row_F: FloatArray, feature: int, value: FloatArray | np.float32) -> FloatArray:
    changed_F = row_F.copy()
    changed_F[feature] = value
    return changed_F
