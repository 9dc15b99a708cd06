"""What an export says about what was trained: encoders, ranker, and on which events."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from unbraid_core.release.fields import Hex64, PositiveSeconds, Strict, UtcTime

__all__ = ["EncoderSpec", "ItemEncoderSpec", "RankerSpec", "TrainingRecord"]


class EncoderSpec(Strict):
    """Shape and vocabulary of the user encoder: K, D and L."""

    architecture: str
    interest_count: Annotated[int, Field(ge=1)]
    dimension: Annotated[int, Field(ge=1)]
    max_history: Annotated[int, Field(ge=1)]
    actions: Annotated[list[str], Field(min_length=1, description="index 0 stands for an unknown action")]


class ItemEncoderSpec(Strict):
    """How item_encoder.onnx is fed: the text of the columns, joined in their order, cut into tokens."""

    tokeniser: Literal["terms", "subwords"]
    max_tokens: Annotated[int, Field(ge=1)]
    columns: Annotated[list[str], Field(min_length=1, description="columns of the catalogue")]


class RankerSpec(Strict):
    """What ranker.onnx was trained on, and the numbers that belong to the arrays beside it."""

    # Left out of the text where there are trees: a manifest with them is as it was before there was a choice.
    head: Annotated[Literal["trees", "interactions"], Field(exclude_if=lambda head: head == "trees")] = "trees"
    features: Annotated[list[str], Field(min_length=1, description="columns of its input, in order")]
    tree_count: Annotated[int | None, Field(ge=1, exclude_if=lambda count: count is None)] = None
    depth: Annotated[int, Field(ge=1, description="candidates that each source brings")]
    neighbour_half_life_s: PositiveSeconds
    common_user_count: Annotated[int, Field(ge=1, description="fewest users that two neighbours have in common")]
    factor_confidence: Annotated[float, Field(gt=0)]
    factor_regularisation: Annotated[float, Field(gt=0)]
    parity_max_difference: Annotated[float, Field(ge=0, description="of scores, between ONNX Runtime and training")]


class TrainingRecord(Strict):
    """What the model was trained on, so that no evaluation on seen events goes unnoticed."""

    split: Annotated[str, Field(description="the split in its text form, for example last-10 or before-2011-11-01")]
    seed: int
    event_count: Annotated[int, Field(ge=0)]
    user_count: Annotated[int, Field(ge=0)]
    last_event_time: UtcTime
    data_sha256: Hex64
    validation: dict[str, float]
