"""A LightGBM ranker to one ONNX file that answers with the sum of its trees.

onnxmltools converts regressors to exactly that sum, but turns the scores of a classifier into probabilities, and rounds
the thresholds of all trees to the nearest single-precision number, which sends a feature that lies on a threshold down
the other branch. So what it is given is the same trees as those of a regressor, with every threshold rounded down: a
single-precision feature is at most the threshold exactly if it is at most that. And LightGBM takes a feature within
1e-35 of 0 for 0, so a threshold there is moved to the border of that.
"""

from __future__ import annotations

import re
from pathlib import Path

import lightgbm
import numpy as np
import onnx
import onnxmltools
from onnx.helper import set_model_props
from onnxmltools.convert.common.data_types import FloatTensorType

from unbraid_core.types import DoubleArray, FloatArray
from unbraid_exporter.ranker_parity import INPUT_NAME, OUTPUT_NAME

__all__ = ["OPSET", "export_trees"]

# Trees are operators of ai.onnx.ml; of the plain ones the graph needs next to nothing.
OPSET = 15

LOWEST, ZERO = np.float32(-np.inf), np.float32(1e-35)

OBJECTIVE = re.compile(r"^(objective=|\[objective: )[^\]\n]*", re.MULTILINE)
THRESHOLDS = re.compile(r"^threshold=(.*)$", re.MULTILINE)
# Sizes of the trees in bytes; LightGBM reads trees without them, one after the other.
TREE_SIZES = re.compile(r"^tree_sizes=.*\n", re.MULTILINE)


def export_trees(booster: lightgbm.Booster, path: Path) -> None:
    """Write a booster as one ONNX file: input ``features`` float32 [C, F], output ``score`` float32 [C, 1].

    A score is the sum of the leaves that a row falls into, the raw score of LightGBM, whatever the objective: log odds
    where it is ``binary``. The names of the features are metadata of the model, one a line. The same booster gives the
    same bytes.

    Args:
        booster: one output; every split compares a number with a threshold.
        path: the file to write.

    Raises:
        onnx.checker.ValidationError: what came out is no valid model.
    """
    model = onnxmltools.convert_lightgbm(
        lightgbm.Booster(model_str=_for_single_precision(booster.model_to_string())),
        name="ranker",
        initial_types=[(INPUT_NAME, FloatTensorType([None, booster.num_feature()]))],
        target_opset=OPSET,
        zipmap=False,
    )
    _name_output(model.graph)
    set_model_props(model, {"features": "\n".join(booster.feature_name())})
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, str(path))


def _for_single_precision(model_text: str) -> str:
    """The text of a LightGBM model as that of a regressor whose thresholds are single-precision numbers."""
    as_regressor = OBJECTIVE.sub(r"\1regression", TREE_SIZES.sub("", model_text))
    return THRESHOLDS.sub(lambda line: f"threshold={_rounded_down(line[1])}", as_regressor)


def _rounded_down(numbers: str) -> str:
    exact_T: DoubleArray = np.array(numbers.split(), np.float64)
    nearest_T: FloatArray = exact_T.astype(np.float32)
    down_T = np.where(nearest_T > exact_T, np.nextafter(nearest_T, LOWEST), nearest_T)
    border_T = np.where(exact_T < 0.0, np.nextafter(-ZERO, LOWEST), ZERO)
    down_T = np.where(np.abs(exact_T) <= ZERO, border_T, down_T)
    return " ".join(map(repr, down_T.astype(np.float64).tolist()))


def _name_output(graph: onnx.GraphProto) -> None:
    """Give the only output the name of the contract."""
    [output] = graph.output
    for node in graph.node:
        node.output[:] = [OUTPUT_NAME if name == output.name else name for name in node.output]
    output.name = OUTPUT_NAME
