"""What profile ``learned`` reads, in files beside ranker.onnx: neighbours, factors and item statistics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unbraid_core.errors import IncompatibleError, IntegrityError
from unbraid_core.factors import Factors
from unbraid_core.features import FEATURE_NAMES
from unbraid_core.interactions import product_names
from unbraid_core.item_statistics import STATISTIC_NAMES, ItemStatistics
from unbraid_core.neighbours import Neighbours
from unbraid_core.ranker_inputs import RankerInputs
from unbraid_core.release.arrays import check_finite, read_matrix
from unbraid_core.release.layout import FACTORS, ITEM_STATISTICS, NEIGHBOUR_ROWS, NEIGHBOUR_WEIGHTS
from unbraid_core.release.manifest import ExportManifest
from unbraid_core.types import FloatArray, RowArray

__all__ = ["check_features", "read_ranker_inputs", "write_ranker_inputs"]


def write_ranker_inputs(inputs: RankerInputs, folder: Path) -> None:
    """Write the arrays into a staging folder; their numbers belong into a ``RankerSpec``."""
    np.save(folder / NEIGHBOUR_ROWS, inputs.neighbours.row_IM)
    np.save(folder / NEIGHBOUR_WEIGHTS, inputs.neighbours.weight_IM)
    np.save(folder / FACTORS, inputs.factors.vector_IF)
    np.save(folder / ITEM_STATISTICS, inputs.statistics.value_IS[:])


def read_ranker_inputs(folder: Path, manifest: ExportManifest, item_count: int) -> RankerInputs | None:
    """Memory-map the arrays of a verified folder; None where it has no ranker.

    Raises:
        IncompatibleError: the ranker reads other features than this code computes, or an array is of another type or
            shape.
        IntegrityError: a value is impossible.
    """
    spec = manifest.ranker
    if spec is None:
        return None
    product = spec.head == "interactions"
    dimension = manifest.encoder.dimension if product else 0
    check_features(spec.features, dimension, f"{folder.name}/{manifest.file_name}: ranker.features")
    row_IM = _neighbour_rows(folder / NEIGHBOUR_ROWS, item_count)
    weight_IM = _numbers(folder / NEIGHBOUR_WEIGHTS, item_count, row_IM.shape[1])
    vector_IF = _numbers(folder / FACTORS, item_count)
    value_IS = _numbers(folder / ITEM_STATISTICS, item_count, len(STATISTIC_NAMES))
    return RankerInputs(
        neighbours=Neighbours(row_IM, weight_IM, spec.neighbour_half_life_s),
        factors=Factors(vector_IF, spec.factor_confidence, spec.factor_regularisation),
        statistics=ItemStatistics(value_IS, manifest.training.last_event_time.timestamp()),
        depth=spec.depth,
        product=product,
    )


def check_features(features: Sequence[str], dimension: int, where: str) -> None:
    """Compare the features that a ranker was trained on with those that this code computes.

    Args:
        features: their names, in order.
        dimension: D, where the ranker also reads the product of item and interest; else 0.
        where: names the ranker in the message.

    Raises:
        IncompatibleError: another name or order; the message says where they part.
    """
    ours = (*FEATURE_NAMES, *product_names(dimension))
    if tuple(features) == ours:
        return
    position = next(
        (at for at, names in enumerate(zip(features, ours, strict=False)) if names[0] != names[1]),
        min(len(features), len(ours)),
    )
    found, computed = (repr(names[position]) if position < len(names) else "none" for names in (features, ours))
    raise IncompatibleError(
        f"{where}: feature {position} is {found}, this unbraid computes {computed} there; "
        "train the ranker again with this version, or use the version that trained it"
    )


def _neighbour_rows(path: Path, item_count: int) -> RowArray:
    row_IM: RowArray = read_matrix(path, np.int32, length=item_count)
    if ((row_IM < 0) | (row_IM >= item_count)).any():
        raise IntegrityError(f"{path.parent.name}/{path.name}: a row is outside 0 to {item_count - 1}")
    return row_IM


def _numbers(path: Path, item_count: int, width: int | None = None) -> FloatArray:
    return check_finite(path, read_matrix(path, np.float32, width, item_count))
