"""Which interest a user turns to at some time.

choice_k(t) = (1 - restlessness) * share_k(t) + restlessness / K

The share is the one that serving uses: decayed mass. Restlessness is the chance that what a user did before does not
matter; without it a single event out of an interest that had faded costs so much that all half-lives grow long
(figures in docs/architecture.md).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unbraid_core.decay import LN2, SMALLEST_SHARE

__all__ = ["log_choice", "log_share"]

MASKED = -1e9


def log_share(assignment_BKL: Tensor, mask_BL: Tensor, age_s_BTL: Tensor, half_life_s_K: Tensor) -> Tensor:
    """Log of each interest's share of the decayed mass at every target [B, T, K], as in core decay."""
    log_R_BKL = torch.log(assignment_BKL.clamp_min(SMALLEST_SHARE)).masked_fill(~mask_BL.unsqueeze(1), MASKED)
    log_survival_BTKL = -LN2 * age_s_BTL.unsqueeze(2) / half_life_s_K.view(1, 1, -1, 1)
    log_mass_BTK = torch.logsumexp(log_R_BKL.unsqueeze(1) + log_survival_BTKL, dim=-1)
    return torch.log_softmax(log_mass_BTK, dim=-1)


def log_choice(log_share_BTK: Tensor, restlessness_logit: Tensor) -> Tensor:
    """Log chance of each interest [B, T, K], from the log shares and the log odds of a restless event []."""
    log_lively = torch.nn.functional.logsigmoid(-restlessness_logit)
    log_restless = torch.nn.functional.logsigmoid(restlessness_logit) - math.log(log_share_BTK.shape[-1])
    return torch.logaddexp(log_lively + log_share_BTK, log_restless)
