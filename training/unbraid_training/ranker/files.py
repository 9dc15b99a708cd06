"""The ranker in a checkpoint: the model in a file of its kind, its inputs as tensors, the rest as JSON."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict
from safetensors.numpy import load_file

from unbraid_core.calibration import Calibration
from unbraid_core.factors import Factors
from unbraid_core.item_statistics import ItemStatistics
from unbraid_core.neighbours import Neighbours
from unbraid_core.ranker_inputs import RankerInputs
from unbraid_training.ranker.config import HeadName
from unbraid_training.ranker.heads import HEADS
from unbraid_training.ranker.trained import TrainedRanker
from unbraid_training.tensor_files import save_arrays

__all__ = ["RankerRecord", "load_ranker", "save_ranker"]

INPUTS_FILE = "ranker.safetensors"


class RankerRecord(BaseModel):
    """What the ranker adds to config.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    head: HeadName = "trees"
    depth: int
    neighbour_half_life_s: float
    common_user_count: int
    factor_confidence: float
    factor_regularisation: float
    reference_time_s: float
    calibration: Calibration
    validation: dict[str, float]

    @property
    def files(self) -> tuple[str, str]:
        """What it needs beside itself."""
        return HEADS[self.head].file_name, INPUTS_FILE


def save_ranker(ranker: TrainedRanker, folder: Path) -> RankerRecord:
    """Write the files of a record; what they do not hold is returned in it."""
    inputs = ranker.inputs
    ranker.head.write(folder / ranker.head.file_name)
    arrays = {
        "neighbour_row_IM": inputs.neighbours.row_IM,
        "neighbour_weight_IM": inputs.neighbours.weight_IM,
        "factor_IF": inputs.factors.vector_IF,
        "statistic_IS": inputs.statistics.value_IS[:],
    }
    save_arrays(arrays, folder / INPUTS_FILE)
    return RankerRecord(
        head="interactions" if inputs.product else "trees",
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
    tensors, head = load_file(folder / INPUTS_FILE), HEADS[record.head]
    inputs = RankerInputs(
        neighbours=Neighbours(
            tensors["neighbour_row_IM"], tensors["neighbour_weight_IM"], record.neighbour_half_life_s
        ),
        factors=Factors(tensors["factor_IF"], record.factor_confidence, record.factor_regularisation),
        statistics=ItemStatistics(tensors["statistic_IS"], record.reference_time_s),
        depth=record.depth,
        product=record.head == "interactions",
    )
    return TrainedRanker(
        head=head.read(folder / head.file_name),
        inputs=inputs,
        common_user_count=record.common_user_count,
        calibration=record.calibration,
        validation=record.validation,
    )
