"""How interests are taken out of a history: which share of each event belongs to which interest."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from unbraid_training.config import ExtractionName
from unbraid_training.encoder.events import Events

__all__ = ["EXTRACTIONS", "Extraction", "dynamic_routing", "self_attentive"]

# Cosines are multiplied by this before the softmax over interests: sharp enough to separate, soft enough to train.
SHARPNESS = 20.0

# As many as in MIND.
TURNS = 3


class Extraction(Protocol):
    """Shares every event out over K interests."""

    def __call__(self, events: Events, direction_KD: Tensor) -> Tensor:
        """Log of the assignment [B, L, K], normalised over K; anything where padded.

        Args:
            events: of the histories.
            direction_KD: where the interests lie.
        """
        ...


def self_attentive(events: Events, direction_KD: Tensor) -> Tensor:
    """Every event by itself, by its cosines with the directions."""
    return torch.log_softmax(_direction_logits(events, direction_KD), dim=-1)


def dynamic_routing(events: Events, direction_KD: Tensor) -> Tensor:
    """Events and interests in turn: behaviour-to-interest routing of MIND (Li et al. 2019, arXiv:1904.08030).

    An interest is the squashed sum of its events, and the events that agree with it belong to it more in the next
    turn. MIND draws the logits of the first turn at random, so the k-th interests of two users, or of two calls, have
    nothing in common; here they are the cosines with fixed directions, because a half-life belongs to index k. The
    agreements are averaged where MIND adds them up, so that every turn is as sharp as the first.
    """
    capsule_BLD = nn.functional.normalize(events.value_BLD, dim=-1)
    logit_BLK = _direction_logits(events, direction_KD)
    for turn in range(1, TURNS):
        assignment_BLK = torch.softmax(logit_BLK / turn, dim=-1) * events.mask_BL.unsqueeze(-1)
        interest_BKD = _squash(assignment_BLK.transpose(1, 2) @ capsule_BLD)
        logit_BLK = logit_BLK + SHARPNESS * capsule_BLD @ interest_BKD.transpose(1, 2)
    return torch.log_softmax(logit_BLK / TURNS, dim=-1)


EXTRACTIONS: dict[ExtractionName, Extraction] = {
    "self-attentive": self_attentive,
    "dynamic-routing": dynamic_routing,
}


def _direction_logits(events: Events, direction_KD: Tensor) -> Tensor:
    place_BLD = nn.functional.normalize(events.event_BLD, dim=-1)
    logit_BLK: Tensor = SHARPNESS * place_BLD @ nn.functional.normalize(direction_KD, dim=-1).T
    return logit_BLK


def _squash(sum_BKD: Tensor) -> Tensor:
    """The same direction, with a length between 0 and 1 (Sabour et al. 2017, arXiv:1710.09829, equation 1)."""
    length_BK1 = torch.linalg.vector_norm(sum_BKD, dim=-1, keepdim=True)
    squashed_BKD: Tensor = sum_BKD * length_BK1 / (1.0 + length_BK1 * length_BK1)
    return squashed_BKD
