"""The score that is ranked: a baseline, and what may be added to it: the user's own frequency and popularity."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from unbraid_core.types import DoubleArray
from unbraid_training.baselines.baseline import View
from unbraid_training.baselines.panel import Panel
from unbraid_training.baselines.profile import Profile
from unbraid_training.config import DAY_S

__all__ = ["Blend", "Link", "OwnTerm", "Prior"]

# Of a user's best score: keeps the log of a score that is not positive finite.
LOG_FLOOR = 0.01
SMALLEST_SCALE = 1e-300


class Link(StrEnum):
    """How scores are brought to a scale on which the log popularity can be added, for each user.

    STANDARD subtracts the mean over the catalogue and divides by the standard deviation. LOG takes
    ln(LOG_FLOOR + max(score, 0) / best score), so that adding multiplies probabilities. LOGIT leaves scores alone that
    are logs of probabilities already, up to a constant.
    """

    STANDARD = "z"
    LOG = "log"
    LOGIT = "logit"

    def of(self, score_BI: DoubleArray) -> DoubleArray:
        """The scores on the new scale."""
        if self is Link.LOGIT:
            return score_BI
        if self is Link.LOG:
            positive_BI = np.maximum(score_BI, 0.0)
            positive_BI /= np.maximum(positive_BI.max(axis=1, keepdims=True), SMALLEST_SCALE)
            log_BI: DoubleArray = np.log(positive_BI + LOG_FLOOR)
            return log_BI
        centred_BI: DoubleArray = score_BI - score_BI.mean(axis=1, keepdims=True)
        scale_B = np.sqrt(np.einsum("bi,bi->b", centred_BI, centred_BI) / score_BI.shape[1])
        centred_BI /= np.maximum(scale_B, SMALLEST_SCALE)[:, None]
        return centred_BI


@dataclass(frozen=True, slots=True)
class OwnTerm:
    """Adds weight * decayed count of the user's own events with an item."""

    weight: float
    half_life_s: float

    def __str__(self) -> str:
        """A few words for a table."""
        return f"own {self.weight:g} x counts, half-life {self.half_life_s / DAY_S:g} d"

    def of(self, panel: Panel, block: slice) -> DoubleArray:
        """The addend for a block of users: [B, I]."""
        counts_BI: DoubleArray = panel.seen(Profile(counted=True, half_life_s=self.half_life_s), block).toarray()
        return self.weight * counts_BI


@dataclass(frozen=True, slots=True)
class Prior:
    """Adds weight * log decayed popularity to linked scores."""

    link: Link
    weight: float
    half_life_s: float

    def __str__(self) -> str:
        """A few words for a table."""
        return f"prior {self.weight:g} x log popularity on {self.link}, half-life {self.half_life_s / DAY_S:g} d"

    def added_to(self, linked_BI: DoubleArray, panel: Panel) -> DoubleArray:
        """Scores on the scale of the link, with this prior: a new array."""
        return linked_BI + self.weight * panel.log_popularity(self.half_life_s)


@dataclass(frozen=True, slots=True)
class Blend:
    """What a baseline sees of a user, and what is added to its score."""

    view: View[Any]
    own: OwnTerm | None = None
    prior: Prior | None = None

    def __str__(self) -> str:
        """A few words for a table."""
        return "; ".join(str(part) for part in (self.view, self.own, self.prior) if part is not None)

    @property
    def scale(self) -> tuple[OwnTerm | None, Link | None]:
        """What ``scaled`` depends on: blends that share it differ in their priors alone."""
        return self.own, None if self.prior is None else self.prior.link

    def scaled(self, base_BI: DoubleArray, panel: Panel, block: slice) -> DoubleArray:
        """The scores that the baseline gave for a block with the own term, on the scale of the prior: [B, I]."""
        score_BI = base_BI if self.own is None else base_BI + self.own.of(panel, block)
        return score_BI if self.prior is None else self.prior.link.of(score_BI)

    def complete(self, scaled_BI: DoubleArray, panel: Panel) -> DoubleArray:
        """Scaled scores with the prior: [B, I]."""
        return scaled_BI if self.prior is None else self.prior.added_to(scaled_BI, panel)

    def score(self, base_BI: DoubleArray, panel: Panel, block: slice) -> DoubleArray:
        """Complete the scores that the baseline gave for a block: [B, I]."""
        return self.complete(self.scaled(base_BI, panel, block), panel)
