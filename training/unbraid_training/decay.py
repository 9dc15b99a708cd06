"""How interests fade, and what teaches it.

The half-lives are those of a point process: given the interests of a user's earlier events, how likely is that of the
very next event? Its likelihood is what they are fitted to, apart from the mixture loss. Three things would bend them
otherwise (figures in docs/architecture.md): interest vectors can rotate to what a user did last and leave nothing to
explain; what lies further ahead depends on what happens in between, which keeps interests alive; and the small shares
of an event in interests that are not its own add up to mass that never was. So each event counts whole for its largest
share, and only the next one is predicted.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from unbraid_training.config import DecayConfig
from unbraid_training.loss.choice import log_choice, log_share
from unbraid_training.loss.whole_events import WholeEvents

__all__ = ["NO_DECAY_S", "Decay"]

# Stands for no decay: 9500 years, which a protobuf Duration still holds.
NO_DECAY_S = 3e11

# Where the restlessness starts.
RESTLESSNESS = 0.1


class Decay(nn.Module):
    """One log half-life per interest, and the log odds that an event follows from no earlier one.

    Args:
        config: kind, start and bounds.
        interest_count: K.
    """

    def __init__(self, config: DecayConfig, interest_count: int) -> None:
        super().__init__()
        self.log_half_life_K = nn.Parameter(_start(config, interest_count), requires_grad=config.kind == "learned")
        self.restlessness_logit = nn.Parameter(torch.tensor(math.log(RESTLESSNESS / (1 - RESTLESSNESS))))
        self._log_bounds = tuple(math.log(bound_s) for bound_s in config.bounds_s)

    def half_life_s(self) -> Tensor:
        """The half-lives in seconds [K]."""
        return torch.exp(self.log_half_life_K)

    def restlessness(self) -> Tensor:
        """The share of events whose interest does not follow from what the user did before []."""
        return torch.sigmoid(self.restlessness_logit)

    def trainable(self) -> list[nn.Parameter]:
        """What ``loss`` teaches."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def log_choice(self, assignment_BKL: Tensor, mask_BL: Tensor, age_s_BTL: Tensor) -> Tensor:
        """Log chance of each interest at every target [B, T, K]; it teaches the assignment, but not the decay."""
        log_share_BTK = log_share(assignment_BKL, mask_BL, age_s_BTL, self.half_life_s().detach())
        return log_choice(log_share_BTK, self.restlessness_logit.detach())

    def loss(self, events: WholeEvents, next_B: Tensor) -> Tensor:
        """Mean of -log chance of the interest of the next event, in nats; it teaches the decay alone.

        Args:
            events: of the histories, at the times of the next events.
            next_B: index of the interest that the next event belongs to.
        """
        log_share_BK = events.log_share(self.half_life_s())
        return nn.functional.nll_loss(log_choice(log_share_BK, self.restlessness_logit), next_B)

    def keep_bounds(self) -> None:
        """Bring half-lives that a step carried over a bound back to it."""
        if self.log_half_life_K.requires_grad:
            with torch.no_grad():
                self.log_half_life_K.clamp_(*self._log_bounds)


def _start(config: DecayConfig, interest_count: int) -> Tensor:
    if config.kind == "none":
        return torch.full((interest_count,), math.log(NO_DECAY_S))
    if config.half_lives_s:
        return torch.log(torch.tensor(config.half_lives_s)).expand(interest_count).clone()
    low_s, high_s = config.range_s
    return torch.linspace(math.log(low_s), math.log(high_s), interest_count)
