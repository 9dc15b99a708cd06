"""What every part of a manifest is made of: strict models, and values of checked types."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    WrapSerializer,
)

from unbraid_core.release.layout import EXPORT_MANIFEST, RELEASE_MANIFEST
from unbraid_core.types import Precision, Scoring

__all__ = [
    "FilePath",
    "Hex64",
    "Name",
    "PositiveSeconds",
    "PossibleScoring",
    "StoredPrecision",
    "Strict",
    "UtcTime",
]


class Strict(BaseModel):
    """A part of a manifest; a field that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _not_a_manifest(path: str) -> str:
    if path in (RELEASE_MANIFEST, EXPORT_MANIFEST):
        raise ValueError(f"{path!r} is a manifest, and a manifest does not list itself")
    return path


def _possible(scoring: Scoring) -> Scoring:
    for name in ("temperature", "own_half_life_s", "popularity_half_life_s", "candidate_count", "quota_min"):
        if getattr(scoring, name) <= 0:
            raise ValueError(f"{name} must be above 0, not {getattr(scoring, name)}")
    if scoring.quota_alpha < 0:
        raise ValueError(f"quota_alpha must be at least 0, not {scoring.quota_alpha}")
    return scoring


def _without_novelty(scoring: Scoring, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
    """A scoring that is no mixture is written as before there were any."""
    numbers: dict[str, Any] = dump(scoring)
    return {name: number for name, number in numbers.items() if name != "mixture" or number}


# No part of a path starts with a dot, so none can be "." or "..", and none is empty, so none is absolute.
FilePath = Annotated[
    str, Field(pattern=r"^[0-9A-Za-z_][0-9A-Za-z_.-]*(/[0-9A-Za-z_][0-9A-Za-z_.-]*)*$"), AfterValidator(_not_a_manifest)
]
UtcTime = Annotated[AwareDatetime, AfterValidator(lambda time: time.astimezone(UTC))]
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,127}$")]
PositiveSeconds = Annotated[float, Field(gt=0)]
# Left out where it is fp32: the manifest of an uncompressed export is what it was before there was a choice.
StoredPrecision = Annotated[Precision, Field(exclude_if=lambda precision: precision is Precision.FP32)]
PossibleScoring = Annotated[Scoring, AfterValidator(_possible), WrapSerializer(_without_novelty)]
