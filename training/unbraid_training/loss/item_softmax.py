"""How likely an interest picks an item: a softmax over the catalogue, whole or estimated from a sample.

With a_i = v_k.e_i / temperature and the bias b_i = g * log pop_i, the chance of the item p is

    exp(a_p + b_p) / (exp(a_p + b_p) + sum_{i != p} w_i * exp(a_i + b_i))

where all w_i are 1, or, as in REMI (Xie et al. 2023, arXiv:2302.14532), grow with the likeness of the negative to the
interest: w_i = exp(hardness * a_i) over its mean. Most items belong to other interests and are too easy to tell apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unbraid_training.loss.negatives import Negatives

__all__ = ["ItemSoftmax"]

# Keeps the log of the rest finite where one item has all the weight; the rest does not matter there.
LARGEST_LOG_PART = -1e-6


@dataclass(frozen=True, eq=False)
class ItemSoftmax:
    """The softmax of one step.

    Attributes:
        item_vectors_ID: unit vectors of the whole catalogue.
        bias_BI: fixed term of each item inside the softmax of each history.
        scale: 1 / temperature.
        negatives: what stands for the catalogue in the sum.
        hardness: 0 weighs all negatives alike.
    """

    item_vectors_ID: Tensor
    bias_BI: Tensor
    scale: float
    negatives: Negatives
    hardness: float = 0.0

    def log_p(self, interests_BKD: Tensor, row_BT: Tensor) -> Tensor:
        """Log chance of every target under every interest [B, K, T]."""
        row_C, log_weight_I = self.negatives.row_C, self.negatives.log_weight_I
        affinity_BKC = interests_BKD @ self.item_vectors_ID[row_C].T * self.scale
        affinity_BKT = interests_BKD @ self.item_vectors_ID[row_BT].transpose(1, 2) * self.scale
        logit_BKC = affinity_BKC + self.bias_BI[:, row_C].unsqueeze(1)
        logit_BKT = affinity_BKT + self.bias_BI.gather(1, row_BT).unsqueeze(1)
        weight_C, weight_B1T = log_weight_I[row_C], log_weight_I[row_BT].unsqueeze(1)
        if self.hardness == 0.0:
            log_rest_BKT = _log_rest(logit_BKC + weight_C, logit_BKT + weight_B1T)
        else:
            harder_BKC = self.hardness * affinity_BKC.detach() + weight_C
            harder_BKT = self.hardness * affinity_BKT.detach() + weight_B1T
            log_mean_BKT = _log_rest(harder_BKC, harder_BKT) - _log_rest(weight_C, weight_B1T)
            log_rest_BKT = _log_rest(logit_BKC + harder_BKC, logit_BKT + harder_BKT) - log_mean_BKT
        return logit_BKT - torch.logaddexp(logit_BKT, log_rest_BKT)


def _log_rest(log_value_XC: Tensor, log_value_XT: Tensor) -> Tensor:
    """Log of the sum over C without the summand of each target, which is among them unless it is -inf."""
    log_sum_X1 = torch.logsumexp(log_value_XC, dim=-1, keepdim=True)
    log_part_XT = (log_value_XT - log_sum_X1).clamp_max(LARGEST_LOG_PART)
    return log_sum_X1 + torch.log1p(-torch.exp(log_part_XT))
