"""Does ranker.onnx score as the ranker that was trained does? Asked on random rows and where the two could part."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnxruntime as ort
from pydantic import BaseModel, ConfigDict

from unbraid_core.errors import IncompatibleError
from unbraid_core.ports import Ranker
from unbraid_core.types import FloatArray

__all__ = ["RANKER_TOLERANCE", "RankerParityCase", "RankerParityReport", "compare_rankers"]

INPUT_NAME, OUTPUT_NAME = "features", "score"

# Rounding leaves 1e-6: training and ONNX Runtime add the same numbers up, at most in another order or precision. A
# single wrong turn in a tree shows in the second decimal.
RANKER_TOLERANCE = 1e-4


class RankerParityCase(BaseModel):
    """One comparison: the largest absolute difference of the scores over that many rows."""

    model_config = ConfigDict(frozen=True)

    name: str
    rows: int
    score_error: float


class RankerParityReport(BaseModel):
    """All comparisons of a ranker, in the order in which they were made.

    Attributes:
        tolerance: what is allowed.
        library: what it was trained with, and is compared with.
        library_version, onnxruntime_version: of the two sides.
        cases: the comparisons.
    """

    model_config = ConfigDict(frozen=True)

    tolerance: float
    library: str
    library_version: str
    onnxruntime_version: str
    cases: tuple[RankerParityCase, ...]

    @property
    def max_difference(self) -> float:
        """The largest difference of all."""
        return max(case.score_error for case in self.cases)


def compare_rankers(
    trained: Ranker, library: str, library_version: str, rows: Iterable[tuple[str, FloatArray]], onnx_file: Path
) -> RankerParityReport:
    """Compare ONNX Runtime on the CPU with the ranker that was exported.

    Args:
        trained: what the file was exported from.
        library: its name, for messages.
        library_version: the version that scores here.
        rows: kinds of rows, by name: float32 [C, F] each.
        onnx_file: what was exported.

    Raises:
        IncompatibleError: a difference above the tolerance, or a value that is no number; the message names the rows.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])
    cases = []
    for name, feature_CF in rows:
        [found_C1] = session.run([OUTPUT_NAME], {INPUT_NAME: feature_CF})
        error = float(np.abs(found_C1[:, 0] - trained.score(feature_CF)).max())
        # Asked this way round, so that a difference that is no number fails as well.
        if not error <= RANKER_TOLERANCE:
            raise IncompatibleError(
                f"the exported ranker differs from {library} by {error:.1e} on {name}; "
                f"{RANKER_TOLERANCE:.0e} is allowed, so nothing was exported"
            )
        cases.append(RankerParityCase(name=name, rows=len(feature_CF), score_error=error))
    return RankerParityReport(
        tolerance=RANKER_TOLERANCE,
        library=library,
        library_version=library_version,
        onnxruntime_version=ort.__version__,
        cases=tuple(cases),
    )
