"""A trained ranker to the files of an export."""

from __future__ import annotations

from pathlib import Path

import lightgbm

from unbraid_core.release import RankerSpec
from unbraid_core.release.layout import RANKER, REPORTS
from unbraid_core.release.ranker import check_features, write_ranker_inputs
from unbraid_exporter.ranker_onnx import export_ranker
from unbraid_exporter.ranker_parity import check_ranker_parity
from unbraid_training.ranker.trained import TrainedRanker

__all__ = ["RANKER_PARITY_REPORT", "write_ranker"]

RANKER_PARITY_REPORT = f"{REPORTS}/ranker_parity.json"


def write_ranker(ranker: TrainedRanker, folder: Path) -> RankerSpec:
    """Write ranker.onnx, the arrays that it reads and the parity report into a folder with a place for reports.

    Raises:
        IncompatibleError: it was trained on other features than this code computes, or the ONNX file differs from
            LightGBM.
    """
    booster = lightgbm.Booster(model_str=ranker.booster_text)
    check_features(booster.feature_name(), "the ranker of the checkpoint")
    export_ranker(booster, folder / RANKER)
    parity = check_ranker_parity(booster, folder / RANKER)
    (folder / RANKER_PARITY_REPORT).write_text(parity.model_dump_json(indent=2) + "\n")
    write_ranker_inputs(ranker.inputs, folder)
    return RankerSpec(
        features=booster.feature_name(),
        tree_count=booster.num_trees(),
        depth=ranker.inputs.depth,
        neighbour_half_life_s=ranker.inputs.neighbours.half_life_s,
        common_user_count=ranker.common_user_count,
        factor_confidence=ranker.inputs.factors.confidence,
        factor_regularisation=ranker.inputs.factors.regularisation,
        parity_max_difference=parity.max_difference,
    )
