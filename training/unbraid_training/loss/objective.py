"""What training minimises: the mixture loss of the targets, and what is punished or rewarded besides."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unbraid_training.config import TrainConfig
from unbraid_training.loss.independence import distance_correlation
from unbraid_training.loss.item_softmax import ItemSoftmax
from unbraid_training.loss.mixture import mixture_loss
from unbraid_training.loss.negatives import Negatives
from unbraid_training.loss.routing import routing_information, routing_variance
from unbraid_training.loss.targets import Targets

__all__ = ["Encoded", "Objective"]


@dataclass(frozen=True, eq=False)
class Encoded:
    """What a model makes of a batch of histories: interests, assignment, and the log chance of each at each target."""

    interests_BKD: Tensor
    assignment_BKL: Tensor
    mask_BL: Tensor
    log_choice_BTK: Tensor


class Objective:
    """The loss of a run.

    Args:
        config: settings.
        frequency_I: share of every item among the training events, which is how likely it is to be a target.
    """

    def __init__(self, config: TrainConfig, frequency_I: Tensor) -> None:
        self._settings = config.loss
        self._scale = 1.0 / config.temperature
        self._frequency_I = frequency_I

    def negatives(self, targets: Targets) -> Negatives:
        """What stands for the catalogue, given the targets of the whole batch."""
        item_count = len(self._frequency_I)
        if item_count <= self._settings.full_softmax_items:
            return Negatives.whole(item_count, self._frequency_I.device)
        row_N = targets.row_BT[targets.mask_BT]
        return Negatives.sampled(row_N, self._frequency_I, self._settings.negative_count)

    def likelihood_loss(
        self,
        encoded: Encoded,
        targets: Targets,
        item_vectors_ID: Tensor,
        bias_BI: Tensor,
        negatives: Negatives,
        epoch: int,
    ) -> Tensor:
        """Mean of -log p over the targets of all ranks, in nats.

        Args:
            encoded: the histories.
            targets: what came next.
            item_vectors_ID: of the whole catalogue.
            bias_BI: fixed term of each item inside the softmax of each history.
            negatives: what stands for the catalogue.
            epoch: counted from 0.
        """
        settings = self._settings
        softmax = ItemSoftmax(item_vectors_ID, bias_BI, self._scale, negatives, hardness=settings.hardness)
        log_p_BKT = softmax.log_p(encoded.interests_BKD, targets.row_BT)
        hard = settings.soft_epochs is not None and epoch >= settings.soft_epochs
        return mixture_loss(encoded.log_choice_BTK, log_p_BKT, targets.mask_BT, hard=hard)

    def penalty(self, encoded: Encoded) -> Tensor:
        """What is punished, less what is rewarded, each with its weight; a weight of 0 costs nothing."""
        settings = self._settings
        routing = encoded.assignment_BKL, encoded.mask_BL
        penalty = -settings.routing_weight * routing_information(*routing)
        if settings.variance_weight > 0:
            penalty = penalty + settings.variance_weight * routing_variance(*routing)
        if settings.correlation_weight > 0:
            penalty = penalty + settings.correlation_weight * distance_correlation(encoded.interests_BKD)
        return penalty
