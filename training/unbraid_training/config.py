"""What can be chosen about a training run."""

from __future__ import annotations

from itertools import product
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from unbraid_core.counted import counted
from unbraid_training.content.config import ContentConfig
from unbraid_training.ranker.config import RankerConfig

__all__ = [
    "DAY_S",
    "Count",
    "DecayConfig",
    "EncoderConfig",
    "ExtractionName",
    "LossConfig",
    "PopularityTerm",
    "TrainConfig",
    "TrunkName",
    "every_encoder",
]

DAY_S = 86_400.0

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]

TrunkName = Literal["none", "transformer", "lstm", "gru", "conv"]
ExtractionName = Literal["self-attentive", "dynamic-routing"]


class EncoderConfig(BaseModel):
    """What the encoder is built of; docs/architecture.md says what each part is and when it pays.

    Attributes:
        trunk: what reads the events as a sequence, before interests are taken out of them.
        time: whether ages are read, by trunk and saliency; without, the order of the events is all that is known.
        extraction: how events are shared out over interests.
        short_term: whether a branch over the last session is fused into the interests.
        session_s: events at most this much older than the newest are the last session. A window, not a longest pause
            between two events: it stays bounded for somebody who never pauses, and is the last day where times are
            known to the day only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trunk: TrunkName = "none"
    time: bool = True
    extraction: ExtractionName = "self-attentive"
    short_term: bool = False
    session_s: Positive = 1 * DAY_S

    @property
    def architecture(self) -> str:
        """Its name in a release, such as gru+time/self-attentive/short-term."""
        trunk = f"{self.trunk}+time" if self.time else self.trunk
        return "/".join([trunk, self.extraction, *(["short-term"] if self.short_term else [])])


def every_encoder() -> list[EncoderConfig]:
    """All 40 combinations of trunk, time, extraction and short-term branch, with the usual session."""
    choices = product(get_args(TrunkName), (True, False), get_args(ExtractionName), (False, True))
    return [
        EncoderConfig(trunk=trunk, time=time, extraction=extraction, short_term=short_term)
        for trunk, time, extraction, short_term in choices
    ]


class PopularityTerm(BaseModel):
    """One of the log popularities inside the softmax."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    half_life_s: Positive
    weight: NotNegative


class DecayConfig(BaseModel):
    """How interests fade.

    Attributes:
        kind: half-lives are learned; or fixed, and stay where they start; or none, and nothing ever fades.
        half_lives_s: where they start, one of each interest, or a single one for all; empty for a range.
        range_s: without them, the half-lives start log-spaced over this range.
        bounds_s: learned half-lives never leave this one.
        learning_rate: half-lives need a rate of their own, else they stay where they start.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["learned", "fixed", "none"] = "learned"
    half_lives_s: tuple[Positive, ...] = ()
    range_s: tuple[Positive, Positive] = (1 * DAY_S, 180 * DAY_S)
    bounds_s: tuple[Positive, Positive] = (DAY_S / 24, 3650 * DAY_S)
    learning_rate: Positive = 0.03


class LossConfig(BaseModel):
    """What besides the likelihood of the targets counts, and how that is computed.

    Attributes:
        routing_weight: of the routing information, which is rewarded.
        variance_weight: of the routing variance, which is punished.
        correlation_weight: of the distance correlation between interests, which is punished.
        hardness: how much more negatives count that are like the interest; 0 counts all alike.
        soft_epochs: epochs after which each target counts for one interest only; none: never.
        full_softmax_items: size of the catalogue up to which all items are negatives.
        negative_count: items drawn above it, for each batch, besides the targets of the batch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    routing_weight: NotNegative = 0.5
    variance_weight: NotNegative = 0.0
    correlation_weight: NotNegative = 0.0
    hardness: NotNegative = 0.0
    soft_epochs: Annotated[int, Field(ge=0)] | None = None
    full_softmax_items: Annotated[int, Field(ge=0)] = 50_000
    negative_count: Count = 4096


POPULARITY = tuple(
    PopularityTerm(half_life_s=days * DAY_S, weight=weight)
    for days, weight in ((2, 0.6), (7, 0.2), (30, 0.1), (3650, 0.1))
)


class TrainConfig(BaseModel):
    """Settings of one run; stored in the checkpoint, so that a resumed run is the same run.

    Attributes:
        interest_count: K.
        dimension: D of the item vectors and interests.
        max_history: L, newest events that the encoder sees.
        encoder: what the encoder is built of.
        temperature: divisor of inner products, in training and in the score.
        content: what item vectors know of the items' text.
        dropout: share of event features dropped.
        popularity: log popularities of the day inside the softmax, with fixed weights, so that the vectors learn
            what popularity does not explain.
        loss: what else counts in the loss.
        target_count: later events drawn as targets of one example.
        target_horizon_s: how far after the history a target may lie.
        decay: how interests fade.
        batch_size: examples a step.
        learning_rate: Adam's, for the encoder.
        item_learning_rate: for the item vectors, which start near a good place and are only refined.
        epochs: at most.
        patience: epochs without a better validation NDCG@50 before training stops.
        seed: of everything random.
        ranker: of the learned profile.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    interest_count: Count = 4
    dimension: Count = 64
    max_history: Count = 50
    encoder: EncoderConfig = EncoderConfig()
    temperature: Positive = 0.1
    content: ContentConfig = ContentConfig()
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    popularity: Annotated[tuple[PopularityTerm, ...], Field(min_length=1)] = POPULARITY
    loss: LossConfig = LossConfig()
    target_count: Count = 8
    target_horizon_s: Positive = 60 * DAY_S
    decay: DecayConfig = DecayConfig()
    batch_size: Count = 256
    learning_rate: Positive = 1e-3
    item_learning_rate: Positive = 1e-4
    epochs: Count = 30
    patience: Count = 3
    seed: Annotated[int, Field(ge=0)] = 1
    ranker: RankerConfig = RankerConfig()

    @model_validator(mode="after")
    def _a_half_life_for_each(self) -> TrainConfig:
        count = len(self.decay.half_lives_s)
        if count not in (0, 1, self.interest_count):
            raise ValueError(
                f"decay.half_lives_s has {counted(count, 'value')} for {counted(self.interest_count, 'interest')}; "
                "give one for all, or one for each"
            )
        return self
