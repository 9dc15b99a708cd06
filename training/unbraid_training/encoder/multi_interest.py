"""The multi-interest user encoder, in the ONNX signature of docs/architecture.md.

As in ComiRec-SA (Cen et al. 2020, arXiv:2005.09347) every event is scored for every interest, and an interest is the
weighted mean of its events. Two things differ. The scores are cosines with K directions: with ComiRec's
W2 tanh(W1 x) interests merged (figures in docs/architecture.md). And they are normalised over the interests, so that
interests compete for events as slots do (Locatello et al. 2020, arXiv:2006.15055): the assignment that explains an
interest is the one that made it. What an event is decides its interest; when it happened only decides its saliency, so
an event never changes its interest by growing old, unless a trunk reads the ages.

A trunk, another extraction and a short-term branch are added by configuration. All that they add starts without effect
on the interests, or with little, so the warm start of item vectors and directions holds for every encoder.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unbraid_training.config import EncoderConfig
from unbraid_training.encoder.decays import AGE_SCALE_S, Decays
from unbraid_training.encoder.events import Events
from unbraid_training.encoder.extraction import EXTRACTIONS
from unbraid_training.encoder.sequence import MASKED
from unbraid_training.encoder.short_term import ShortTerm
from unbraid_training.encoder.trunk import make_trunk

__all__ = ["MultiInterestEncoder"]

PLAIN = EncoderConfig()


class MultiInterestEncoder(nn.Module):
    """Takes K unit interests out of a right-padded batch of histories.

    Args:
        dimension: D.
        interest_count: K.
        action_count: size of the action vocabulary.
        dropout: share of event features dropped in training.
        config: what it is built of.
    """

    def __init__(
        self,
        dimension: int,
        interest_count: int,
        action_count: int,
        dropout: float,
        config: EncoderConfig = PLAIN,
    ) -> None:
        super().__init__()
        hidden = 2 * dimension
        self.action = nn.Embedding(action_count, dimension)
        # Dynamic routing moves its interests by itself: its directions stay where the warm start puts them.
        learned = config.extraction == "self-attentive"
        self.direction_KD = nn.Parameter(torch.randn(interest_count, dimension), requires_grad=learned)
        self.hidden = nn.Linear(dimension, hidden)
        self.decays = Decays(AGE_SCALE_S) if config.time else None
        # No bias: it would lift all events of a history alike, and both softmaxes over events ignore that.
        self.saliency = nn.Linear(hidden + (len(AGE_SCALE_S) if config.time else 0), 1, bias=False)
        self.value = nn.Linear(dimension, dimension, bias=False)
        self.context = nn.Linear(dimension, dimension, bias=False)
        self.dropout = nn.Dropout(dropout)
        nn.init.normal_(self.action.weight, std=0.02)
        # An untrained interest is the plain mean of its events.
        for layer in (self.saliency, self.value, self.context):
            nn.init.zeros_(layer.weight)
        self.trunk = make_trunk(config, dimension, dropout)
        self.short_term = ShortTerm(dimension, config.session_s) if config.short_term else None
        self._extract = EXTRACTIONS[config.extraction]

    def forward(
        self, item_vectors_BLD: Tensor, age_s_BL: Tensor, action_BL: Tensor, mask_BL: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Interests [B, K, D] of unit length, and the assignment [B, K, L], 0 where padded."""
        padding_BL1 = (~mask_BL).unsqueeze(-1)
        event_BLD = item_vectors_BLD + self.action(action_BL)
        if self.trunk is not None:
            shift_BLD = self.trunk(event_BLD, age_s_BL, mask_BL)
            item_vectors_BLD, event_BLD = item_vectors_BLD + shift_BLD, event_BLD + shift_BLD
        events = Events(event_BLD, item_vectors_BLD + self.value(item_vectors_BLD), age_s_BL, mask_BL)
        log_assignment_BLK = self._log_assignment(events)
        saliency_BL1 = self._saliency(event_BLD, age_s_BL).masked_fill(padding_BL1, MASKED)
        weight_BLK = torch.softmax(log_assignment_BLK + saliency_BL1, dim=1)
        # The whole history speaks in every interest through one shared term, so interests need not blur to know it.
        whole_B1D = torch.softmax(saliency_BL1, dim=1).transpose(1, 2) @ item_vectors_BLD
        pooled_BKD = weight_BLK.transpose(1, 2) @ events.value_BLD + self.context(whole_B1D)
        interests_BKD = nn.functional.normalize(pooled_BKD, dim=-1)
        if self.short_term is not None:
            interests_BKD = self.short_term(events, log_assignment_BLK, interests_BKD)
        assignment_BLK = torch.exp(log_assignment_BLK).masked_fill(padding_BL1, 0.0)
        return interests_BKD, assignment_BLK.transpose(1, 2)

    def _log_assignment(self, events: Events) -> Tensor:
        return self._extract(events, self.direction_KD)

    def _saliency(self, event_BLD: Tensor, age_s_BL: Tensor) -> Tensor:
        features_BLF = torch.tanh(self.hidden(self.dropout(event_BLD)))
        if self.decays is not None:
            features_BLF = torch.cat([features_BLF, self.decays(age_s_BL)], dim=-1)
        saliency_BL1: Tensor = self.saliency(features_BLF)
        return saliency_BL1
