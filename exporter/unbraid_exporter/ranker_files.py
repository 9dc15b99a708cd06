"""A trained ranker to the files of an export."""

from __future__ import annotations

from pathlib import Path

import lightgbm
import torch

from unbraid_core.release import RankerSpec
from unbraid_core.release.layout import RANKER, REPORTS
from unbraid_core.release.ranker import check_features, write_ranker_inputs
from unbraid_exporter.onnx_export import export_network
from unbraid_exporter.ranker_onnx import export_trees
from unbraid_exporter.ranker_parity import RankerParityReport, compare_rankers
from unbraid_exporter.ranker_rows import network_rows, tree_rows
from unbraid_training.ranker.booster import BoosterRanker
from unbraid_training.ranker.network import NetworkRanker
from unbraid_training.ranker.trained import TrainedRanker

__all__ = ["RANKER_PARITY_REPORT", "export_booster", "export_interactions", "write_ranker"]

RANKER_PARITY_REPORT = f"{REPORTS}/ranker_parity.json"


def write_ranker(ranker: TrainedRanker, dimension: int, folder: Path) -> RankerSpec:
    """Write ranker.onnx, the arrays that it reads and the parity report into a folder with a place for reports.

    Args:
        ranker: of a checkpoint.
        dimension: D of the item vectors.
        folder: of the export.

    Raises:
        IncompatibleError: it was trained on other features than this code computes, or the ONNX file differs from the
            library that it was trained with.
    """
    head, inputs = ranker.head, ranker.inputs
    check_features(head.features, dimension if inputs.product else 0, "the ranker of the checkpoint")
    if isinstance(head, BoosterRanker):
        parity, tree_count = export_booster(head, folder / RANKER), head.booster.num_trees()
    else:
        parity, tree_count = export_interactions(head, folder / RANKER), None
    (folder / RANKER_PARITY_REPORT).write_text(parity.model_dump_json(indent=2) + "\n")
    write_ranker_inputs(inputs, folder)
    return RankerSpec(
        head="interactions" if inputs.product else "trees",
        features=head.features,
        tree_count=tree_count,
        depth=inputs.depth,
        neighbour_half_life_s=inputs.neighbours.half_life_s,
        common_user_count=ranker.common_user_count,
        factor_confidence=inputs.factors.confidence,
        factor_regularisation=inputs.factors.regularisation,
        parity_max_difference=parity.max_difference,
    )


def export_booster(ranker: BoosterRanker, path: Path) -> RankerParityReport:
    """Write trees as ONNX, and compare them with LightGBM.

    Raises:
        IncompatibleError: they differ.
    """
    export_trees(ranker.booster, path)
    return compare_rankers(ranker, "LightGBM", lightgbm.__version__, tree_rows(ranker.booster), path)


def export_interactions(ranker: NetworkRanker, path: Path) -> RankerParityReport:
    """Write an interaction network as ONNX, and compare it with PyTorch.

    Raises:
        IncompatibleError: they differ.
    """
    network = ranker.network
    export_network(network, ranker.features, path)
    rows = network_rows(network.mean_F.numpy(), network.spread_F.numpy())
    return compare_rankers(ranker, "PyTorch", torch.__version__, rows, path)
