"""The multi-interest user encoder, in the ONNX signature of docs/architecture.md.

As in ComiRec-SA (Cen et al. 2020, arXiv:2005.09347) every event is scored for every interest, and an interest is the
weighted mean of its events. Two things differ. The scores are cosines with K learned directions: with ComiRec's
W2 tanh(W1 x) interests merged (figures in docs/architecture.md). And they are normalised over the interests, so that
interests compete for events as slots do (Locatello et al. 2020, arXiv:2006.15055): the assignment that explains an
interest is the one that made it. What an event is decides its interest; when it happened only decides its saliency, so
an event never changes its interest by growing old.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["ARCHITECTURE", "MultiInterestEncoder"]

ARCHITECTURE = "self-attentive"

# Cosines are multiplied by this before the softmax over interests: sharp enough to separate, soft enough to train.
SHARPNESS = 20.0

# A padded event gets this logit: -inf would turn an all-padded row into NaN.
MASKED = -1e9

# Decay time scales of the age features: a minute to two years, each four times the last.
AGE_SCALE_S = tuple(60.0 * 4.0**step for step in range(11))


class MultiInterestEncoder(nn.Module):
    """Takes K unit interests out of a right-padded batch of histories.

    Args:
        dimension: D.
        interest_count: K.
        action_count: size of the action vocabulary.
        dropout: share of event features dropped in training.
    """

    def __init__(self, dimension: int, interest_count: int, action_count: int, dropout: float) -> None:
        super().__init__()
        hidden = 2 * dimension
        self.age_scale_s: Tensor
        self.register_buffer("age_scale_s", torch.tensor(AGE_SCALE_S), persistent=False)
        self.action = nn.Embedding(action_count, dimension)
        self.direction_KD = nn.Parameter(torch.randn(interest_count, dimension))
        self.hidden = nn.Linear(dimension, hidden)
        # No bias: it would lift all events of a history alike, and both softmaxes over events ignore that.
        self.saliency = nn.Linear(hidden + len(AGE_SCALE_S), 1, bias=False)
        self.value = nn.Linear(dimension, dimension, bias=False)
        self.context = nn.Linear(dimension, dimension, bias=False)
        self.dropout = nn.Dropout(dropout)
        nn.init.normal_(self.action.weight, std=0.02)
        # An untrained interest is the plain mean of its events.
        for layer in (self.saliency, self.value, self.context):
            nn.init.zeros_(layer.weight)

    def forward(
        self, item_vectors_BLD: Tensor, age_s_BL: Tensor, action_BL: Tensor, mask_BL: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Interests [B, K, D] of unit length, and the assignment [B, K, L], 0 where padded."""
        padding_BL1 = (~mask_BL).unsqueeze(-1)
        event_BLD = item_vectors_BLD + self.action(action_BL)
        log_assignment_BLK = self._log_assignment(event_BLD)
        saliency_BL1 = self._saliency(event_BLD, age_s_BL).masked_fill(padding_BL1, MASKED)
        weight_BLK = torch.softmax(log_assignment_BLK + saliency_BL1, dim=1)
        value_BLD = item_vectors_BLD + self.value(item_vectors_BLD)
        # The whole history speaks in every interest through one shared term, so interests need not blur to know it.
        whole_B1D = torch.softmax(saliency_BL1, dim=1).transpose(1, 2) @ item_vectors_BLD
        interests_BKD = weight_BLK.transpose(1, 2) @ value_BLD + self.context(whole_B1D)
        assignment_BLK = torch.exp(log_assignment_BLK).masked_fill(padding_BL1, 0.0)
        return nn.functional.normalize(interests_BKD, dim=-1), assignment_BLK.transpose(1, 2)

    def _log_assignment(self, event_BLD: Tensor) -> Tensor:
        place_BLD = nn.functional.normalize(event_BLD, dim=-1)
        direction_KD = nn.functional.normalize(self.direction_KD, dim=-1)
        return torch.log_softmax(SHARPNESS * place_BLD @ direction_KD.T, dim=-1)

    def _saliency(self, event_BLD: Tensor, age_s_BL: Tensor) -> Tensor:
        hidden_BLH = torch.tanh(self.hidden(self.dropout(event_BLD)))
        age_BLF = torch.exp2(-age_s_BL.unsqueeze(-1) / self.age_scale_s)
        saliency_BL1: Tensor = self.saliency(torch.cat([hidden_BLH, age_BLF], dim=-1))
        return saliency_BL1
