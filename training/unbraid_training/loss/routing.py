"""How events are shared out over interests: what may be rewarded or punished about an assignment."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["routing_information", "routing_variance", "weights_within_interests"]


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


def routing_variance(assignment_BKL: Tensor, mask_BL: Tensor) -> Tensor:
    """How unevenly interests weigh the events of a history, the routing regularisation of REMI.

    REMI (Xie et al. 2023, arXiv:2302.14532) punishes sum_k var_k^2, where var_k is the variance over a history of the
    weights that interest k gives to its events, so that no interest rests on a single one. Here weights are relative to
    their mean, and users are averaged: a long history costs no less than a short one.
    """
    length_B11 = mask_BL.sum(dim=1).clamp_min(1).view(-1, 1, 1)
    relative_BKL = weights_within_interests(assignment_BKL) * length_B11
    square_BKL = (relative_BKL - 1.0).square() * mask_BL.unsqueeze(1)
    variance_BK = (square_BKL / length_B11).sum(dim=2)
    mean: Tensor = variance_BK.square().sum(dim=1).mean()
    return mean


def weights_within_interests(assignment_BKL: Tensor) -> Tensor:
    """How much of each interest comes from each event [B, K, L]: sums to 1 over L."""
    return assignment_BKL / assignment_BKL.sum(dim=2, keepdim=True).clamp_min(1e-12)
