"""What can be chosen about item vectors that know the items' text."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["NO_TEXT", "TFIDF", "ContentConfig"]

# Values of text that are no folders.
NO_TEXT, TFIDF = "none", "tfidf"


class ContentConfig(BaseModel):
    """Settings of the item side.

    Attributes:
        text: none (a free vector for each item), tfidf, or the path of a folder with a pretrained sentence encoder.
        width: whitened features of a text, at most.
        delta_bound: longest correction of an item's content, whose length is 1.
        delta_dropout: share of the training steps that see contents without corrections.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: Annotated[str, Field(min_length=1)] = NO_TEXT
    width: Annotated[int, Field(ge=1)] = 512
    delta_bound: Annotated[float, Field(gt=0)] = 1.0
    delta_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
