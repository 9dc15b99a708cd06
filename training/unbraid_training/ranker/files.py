"""The ranker in a checkpoint: the model as text, its inputs as tensors, the rest as JSON."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict
from safetensors.numpy import load_file, save_file

from unbraid_core.calibration import Calibration
from unbraid_core.factors import Factors
from unbraid_core.item_statistics import ItemStatistics
from unbraid_core.neighbours import Neighbours
from unbraid_core.ranker_inputs import RankerInputs
from unbraid_training.ranker.trained import TrainedRanker

__all__ = ["RANKER_FILES", "RankerRecord", "load_ranker", "save_ranker"]

BOOSTER_FILE = "ranker.txt"
INPUTS_FILE = "ranker.safetensors"
RANKER_FILES = (BOOSTER_FILE, INPUTS_FILE)


class RankerRecord(BaseModel):
    """What the ranker adds to config.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    depth: int
    neighbour_half_life_s: float
    common_user_count: int
    factor_confidence: float
    factor_regularisation: float
    reference_time_s: float
    calibration: Calibration
    validation: dict[str, float]


def save_ranker(ranker: TrainedRanker, folder: Path) -> RankerRecord:
    """Write RANKER_FILES; what they do not hold is returned."""
    inputs = ranker.inputs
    (folder / BOOSTER_FILE).write_text(ranker.booster_text)
    tensors = {
        "neighbour_row_IM": inputs.neighbours.row_IM,
        "neighbour_weight_IM": inputs.neighbours.weight_IM,
        "factor_IF": inputs.factors.vector_IF,
        "statistic_IS": inputs.statistics.value_IS,
    }
    save_file(tensors, folder / INPUTS_FILE)
    return RankerRecord(
        depth=inputs.depth,
        neighbour_half_life_s=inputs.neighbours.half_life_s,
        common_user_count=ranker.common_user_count,
        factor_confidence=inputs.factors.confidence,
        factor_regularisation=inputs.factors.regularisation,
        reference_time_s=inputs.statistics.reference_time_s,
        calibration=ranker.calibration,
        validation=ranker.validation,
    )


def load_ranker(record: RankerRecord, folder: Path) -> TrainedRanker:
    """Read what ``save_ranker`` wrote; the files were checked."""
    tensors = load_file(folder / INPUTS_FILE)
    inputs = RankerInputs(
        neighbours=Neighbours(
            tensors["neighbour_row_IM"], tensors["neighbour_weight_IM"], record.neighbour_half_life_s
        ),
        factors=Factors(tensors["factor_IF"], record.factor_confidence, record.factor_regularisation),
        statistics=ItemStatistics(tensors["statistic_IS"], record.reference_time_s),
        depth=record.depth,
    )
    return TrainedRanker(
        booster_text=(folder / BOOSTER_FILE).read_text(),
        inputs=inputs,
        common_user_count=record.common_user_count,
        calibration=record.calibration,
        validation=record.validation,
    )
