"""What a model pays for what it did not expect."""

from __future__ import annotations

import torch
from torch import Tensor

from unbraid_training.ranks import total

__all__ = ["mixture_loss"]


def mixture_loss(log_choice_BTK: Tensor, log_p_BKT: Tensor, mask_BT: Tensor, *, hard: bool = False) -> Tensor:
    """Mean over all targets, in nats.

    Args:
        log_choice_BTK: log chance of each interest at each target.
        log_p_BKT: log chance of each target under each interest.
        mask_BT: where there is a target.
        hard: each target counts for the one interest that explains it best, instead of for the sum over all: the
            hard selection of ComiRec (Cen et al. 2020).
    """
    joint_BTK = log_choice_BTK + log_p_BKT.transpose(1, 2)
    log_likelihood_BT = joint_BTK.amax(dim=-1) if hard else torch.logsumexp(joint_BTK, dim=-1)
    return -total((log_likelihood_BT * mask_BT).sum()) / total(mask_BT.sum())
