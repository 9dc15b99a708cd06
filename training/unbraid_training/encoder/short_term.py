"""The short-term branch: what the last session says of each interest, and a gate that decides how much it counts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unbraid_training.encoder.events import Events
from unbraid_training.encoder.sequence import MASKED

__all__ = ["ShortTerm"]

# The gate starts a tenth open: training starts from the long-term interests.
GATE_START = -2.0


class ShortTerm(nn.Module):
    """Fuses long-term interests with the last session, as SDM does (Lv et al. 2019, arXiv:1909.00385).

    SDM has one vector for the session; here every interest hears only its own events of the session, so that interests
    stay separate and an assignment still explains the interest. One that the session does not touch stays as it is.

    Args:
        dimension: D.
        session_s: events that are at most this much older than the newest make up the last session.
    """

    def __init__(self, dimension: int, session_s: float) -> None:
        super().__init__()
        self._session_s = session_s
        self.saliency = nn.Linear(dimension, 1, bias=False)
        self.gate = nn.Linear(2 * dimension, 1)
        for layer in (self.saliency, self.gate):
            nn.init.zeros_(layer.weight)
        nn.init.constant_(self.gate.bias, GATE_START)

    def forward(self, events: Events, log_assignment_BLK: Tensor, long_BKD: Tensor) -> Tensor:
        """Unit interests [B, K, D] of long and short term.

        Args:
            events: of the histories.
            log_assignment_BLK: log share of each event in each interest.
            long_BKD: unit interests of the whole histories.
        """
        elsewhere_BL1 = ~(events.mask_BL & (events.age_s_BL <= self._session_s)).unsqueeze(-1)
        saliency_BL1 = self.saliency(events.event_BLD).masked_fill(elsewhere_BL1, MASKED)
        weight_BLK = torch.softmax(log_assignment_BLK + saliency_BL1, dim=1)
        short_BKD = nn.functional.normalize(weight_BLK.transpose(1, 2) @ events.value_BLD, dim=-1)
        presence_BK = torch.exp(log_assignment_BLK).masked_fill(elsewhere_BL1, 0.0).amax(dim=1)
        gate_BK1 = presence_BK.unsqueeze(-1) * torch.sigmoid(self.gate(torch.cat([long_BKD, short_BKD], dim=-1)))
        return nn.functional.normalize(long_BKD + gate_BK1 * (short_BKD - long_BKD), dim=-1)
