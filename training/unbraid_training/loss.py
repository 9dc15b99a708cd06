"""The training loss: a user picks a live interest, then an item from it.

p(i, t) = sum_k share_k(t) * softmax_i(v_k.e_i / temperature + g * log pop_i)

The share is the one that serving uses: decayed mass at the target's own time. So the loss is what teaches the
half-lives, and an interest is trained by the targets that it explains best: a mixture of softmaxes (Yang et al. 2018,
arXiv:1711.03953), whose responsibilities are the soft form of ComiRec's choice of one interest per target.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unbraid_core.decay import LN2, SMALLEST_SHARE

__all__ = ["Targets", "log_share", "mixture_loss", "routing_information"]

MASKED = -1e9


@dataclass(frozen=True, eq=False)
class Targets:
    """Up to T later events of each of B examples; ``mask_BT`` is true where there is one.

    ``age_s_BTL`` counts from every event of the history to the target.
    """

    row_BT: Tensor
    age_s_BTL: Tensor
    mask_BT: Tensor


def log_share(assignment_BKL: Tensor, mask_BL: Tensor, age_s_BTL: Tensor, half_life_s_K: Tensor) -> Tensor:
    """Log of each interest's share of the decayed mass at every target [B, T, K], as in core decay."""
    log_R_BKL = torch.log(assignment_BKL.clamp_min(SMALLEST_SHARE)).masked_fill(~mask_BL.unsqueeze(1), MASKED)
    log_survival_BTKL = -LN2 * age_s_BTL.unsqueeze(2) / half_life_s_K.view(1, 1, -1, 1)
    log_mass_BTK = torch.logsumexp(log_R_BKL.unsqueeze(1) + log_survival_BTKL, dim=-1)
    return torch.log_softmax(log_mass_BTK, dim=-1)


def mixture_loss(
    interests_BKD: Tensor,
    log_share_BTK: Tensor,
    targets: Targets,
    item_vectors_ID: Tensor,
    bias_I: Tensor,
    scale: float,
) -> Tensor:
    """Mean of -log p over all targets, in nats.

    Args:
        interests_BKD: unit interests.
        log_share_BTK: of ``log_share``.
        targets: what happened.
        item_vectors_ID: unit vectors of the whole catalogue, all of which are negatives.
        bias_I: fixed term of each item inside the softmax.
        scale: 1 / temperature.
    """
    logit_BKI = interests_BKD @ item_vectors_ID.T * scale + bias_I
    log_normaliser_BK1 = torch.logsumexp(logit_BKI, dim=-1, keepdim=True)
    index_BKT = targets.row_BT.unsqueeze(1).expand(-1, interests_BKD.shape[1], -1)
    log_p_BKT = logit_BKI.gather(2, index_BKT) - log_normaliser_BK1
    loss_BT = -torch.logsumexp(log_share_BTK + log_p_BKT.transpose(1, 2), dim=-1)
    mean: Tensor = (loss_BT * targets.mask_BT).sum() / targets.mask_BT.sum()
    return mean


def routing_information(assignment_BKL: Tensor, mask_BL: Tensor) -> Tensor:
    """Mutual information of event and interest over a batch, in nats: H(mean assignment) - mean H(assignment).

    From 0 (every event spread evenly, or all events in one interest) to ln K (each event in one interest, all
    interests used equally). Maximising it is what keeps the routing from collapsing (Krause et al. 2010, RIM).
    """
    assignment_NK = assignment_BKL.transpose(1, 2)[mask_BL]
    usage_K = assignment_NK.mean(dim=0)
    spread: Tensor = torch.special.entr(assignment_NK).sum(dim=1).mean()
    information: Tensor = torch.special.entr(usage_K).sum() - spread
    return information
