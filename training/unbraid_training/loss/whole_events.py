"""Histories in which every event counts whole for one interest: decayed mass without a sum over interests."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unbraid_core.decay import LN2

__all__ = ["WholeEvents"]

ABSENT = -1e9
"""Stands for the log of no mass, of which a finite number keeps gradients finite."""


@dataclass(frozen=True, eq=False)
class WholeEvents:
    """B histories, each event in the interest of its largest share.

    Attributes:
        member_BLK: whether the event belongs to the interest; to none where padded.
        present_BK: whether any event belongs to the interest.
        newest_s_BK: age of the newest of them; 0 where there is none.
        since_s_BL: how much older each event is than the newest one of its interest.
    """

    member_BLK: Tensor
    present_BK: Tensor
    newest_s_BK: Tensor
    since_s_BL: Tensor

    @classmethod
    def of(cls, assignment_BKL: Tensor, mask_BL: Tensor, age_s_BL: Tensor) -> WholeEvents:
        """Histories as an encoder has assigned them.

        Args:
            assignment_BKL: share of every event in every interest.
            mask_BL: where there is an event.
            age_s_BL: seconds from each event to the moment that the mass is asked for.
        """
        interest_BL = assignment_BKL.argmax(dim=1)
        member_BLK = torch.nn.functional.one_hot(interest_BL, assignment_BKL.shape[1]).bool() & mask_BL.unsqueeze(2)
        age_s_BLK = age_s_BL.unsqueeze(2).masked_fill(~member_BLK, math.inf)
        newest_s_BK = age_s_BLK.amin(dim=1)
        present_BK = newest_s_BK.isfinite()
        newest_s_BK = newest_s_BK.masked_fill(~present_BK, 0.0)
        since_s_BL = (age_s_BL - newest_s_BK.gather(1, interest_BL)) * mask_BL
        return cls(member_BLK, present_BK, newest_s_BK, since_s_BL)

    def log_share(self, half_life_s_K: Tensor) -> Tensor:
        """Log of each interest's share of the decayed mass [B, K]; about ABSENT for one without any event.

        The mass is that of the newest event times a sum of at least 1, so that nothing underflows.
        """
        rate_K, member_BLK = LN2 / half_life_s_K, self.member_BLK.to(half_life_s_K.dtype)
        alive_BL = torch.exp(-self.since_s_BL * (member_BLK @ rate_K))
        relative_BK = (alive_BL.unsqueeze(1) @ member_BLK).squeeze(1)
        log_mass_BK = torch.log(relative_BK.clamp_min(1.0)) - self.newest_s_BK * rate_K
        return torch.log_softmax(log_mass_BK.masked_fill(~self.present_BK, ABSENT), dim=-1)
