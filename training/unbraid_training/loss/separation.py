"""How far apart the interests of a batch are: what to watch for a collapse."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from unbraid_training.loss.routing import weights_within_interests

__all__ = ["Separation"]


class Separation(NamedTuple):
    """Means over a batch.

    Attributes:
        effective_events: perplexity of the weights of the events within an interest: how many it rests on. Interests
            count by their usage.
        usage_entropy: of the shares of all events that the interests have, in nats: ln K where all are used alike, 0
            where one has everything.
        cosine: of two interests of one user; 0 where there is only one.
    """

    effective_events: float
    usage_entropy: float
    cosine: float

    @classmethod
    @torch.no_grad()
    def of(cls, interests_BKD: Tensor, assignment_BKL: Tensor, mask_BL: Tensor) -> Separation:
        """Measure a batch."""
        used_BK = assignment_BKL.sum(dim=2)
        perplexity_BK = torch.special.entr(weights_within_interests(assignment_BKL)).sum(dim=2).exp()
        usage_K = used_BK.sum(dim=0) / mask_BL.sum()
        cosine_BKK = interests_BKD @ interests_BKD.transpose(1, 2)
        K = interests_BKD.shape[1]
        pairs = max(1, K * (K - 1))
        return cls(
            effective_events=((perplexity_BK * used_BK).sum() / used_BK.sum()).item(),
            usage_entropy=torch.special.entr(usage_K).sum().item(),
            cosine=((cosine_BKK.sum(dim=(1, 2)) - K) / pairs).mean().item(),
        )
