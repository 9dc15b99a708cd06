"""One epoch at a time: repeatable, and resumable from the end of any epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unbraid_core.errors import IncompatibleError
from unbraid_core.types import FloatArray
from unbraid_training.config import TrainConfig
from unbraid_training.content.item_content import ItemContent
from unbraid_training.data.dataset import Dataset
from unbraid_training.decay_fit import fit_decay
from unbraid_training.device import CPU, DeviceChoice
from unbraid_training.examples import Examples, TrainBatch
from unbraid_training.loss.objective import Encoded, Objective
from unbraid_training.loss.routing import routing_information
from unbraid_training.loss.separation import Separation
from unbraid_training.loss.whole_events import WholeEvents
from unbraid_training.model import Model
from unbraid_training.popularity_timeline import PopularityTimeline
from unbraid_training.ranks import is_first, rank, rank_count, share_start, sum_gradients, whole
from unbraid_training.warm_start import warm_start

__all__ = ["EpochLoss", "Trainer"]

MODEL, OPTIMIZER = "model.", "optimizer."

# What the decay is fitted to. With the few of the start, a planted half-life of 27 days was found anywhere from 20 days
# to the upper bound; the steps of the epochs mend that, but each of them sees a batch only.
FIRST_EXAMPLES, LAST_EXAMPLES = 1 << 11, 1 << 15


class EpochLoss(NamedTuple):
    """Means over the batches of an epoch; the loss and the routing information in nats."""

    loss: float
    routing_information: float
    effective_events: float
    usage_entropy: float
    cosine: float


class Trainer:
    """A model, its optimiser and its examples.

    All randomness of an epoch comes from (seed, epoch), so going on after an interruption gives the same model.

    Args:
        dataset: training events.
        config: settings.
        log_popularity_I: log share of every item among the training events.
        content: what the text of the items says; without it their vectors are free.
        choice: on what to compute. Under torchrun every rank makes the same trainer and takes its share of each batch.
    """

    def __init__(
        self,
        dataset: Dataset,
        config: TrainConfig,
        log_popularity_I: FloatArray,
        content: ItemContent | None = None,
        choice: DeviceChoice = CPU,
    ) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        items = None if content is None else content.vectors_of(dataset.catalogue, config)
        self.model = Model(config, len(dataset.catalogue), len(dataset.actions), items)
        self.examples = Examples(dataset, config)
        if is_first():
            warm_start(self.model, dataset, config.seed)
        self.model.to(choice.device)
        share_start(self.model)
        self._fit_decay(FIRST_EXAMPLES)
        self._choice = choice
        self._popularity = PopularityTimeline(dataset, config.popularity, choice.device)
        self._objective = Objective(config, torch.from_numpy(log_popularity_I).exp().to(choice.device))
        self._optimizer = torch.optim.Adam(
            [
                {"params": list(self.model.encoder.parameters()), "lr": config.learning_rate},
                {"params": list(self.model.items.parameters()), "lr": config.item_learning_rate},
                {"params": self.model.decay.trainable(), "lr": config.decay.learning_rate},
            ]
        )

    def run_epoch(self, epoch: int, on_batch: Callable[[], None]) -> EpochLoss:
        """Train on the examples of one epoch, counted from 0."""
        # The batches are the same on all ranks, what is dropped of an example is not.
        torch.manual_seed(self.config.seed * 100_003 + epoch + (rank() << 32))
        rng = np.random.default_rng([self.config.seed, epoch])
        self.model.train()
        batches = []
        for batch in self.examples.epoch(rng):
            batches.append(self._step(batch.to(self._choice.device), epoch))
            on_batch()
        return EpochLoss(*np.mean(batches, axis=0).tolist())

    def settle_decay(self) -> None:
        """Bring the decay to where it is most likely, now that the interests stay as they are."""
        self._fit_decay(LAST_EXAMPLES)

    def state(self) -> dict[str, Tensor]:
        """Everything that ``restore`` needs to go on, as named tensors; training on changes them."""
        state = {MODEL + name: tensor for name, tensor in self.model.state_dict().items()}
        names = self._trained_names()
        for index, slots in self._optimizer.state_dict()["state"].items():
            state.update({f"{OPTIMIZER}{names[index]}.{slot}": tensor for slot, tensor in slots.items()})
        return state

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go back to a state.

        Raises:
            IncompatibleError: it is that of another model, as other versions of this code have them.
        """
        names = self._trained_names()
        slots: dict[int, dict[str, Tensor]] = {}
        try:
            self.model.load_state_dict({key.removeprefix(MODEL): state[key] for key in state if key.startswith(MODEL)})
            for key in state:
                if key.startswith(OPTIMIZER):
                    name, slot = key.removeprefix(OPTIMIZER).rsplit(".", 1)
                    slots.setdefault(names.index(name), {})[slot] = state[key]
        except (RuntimeError, ValueError):
            raise IncompatibleError("the state is that of another model; go on with the code that stored it") from None
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": slots})

    def _fit_decay(self, example_count: int) -> None:
        if is_first():
            fit_decay(self.model, self.examples, example_count, self.config.seed)
        share_start(self.model.decay)

    def _trained_names(self) -> list[str]:
        """Names of the parameters, in the order of the optimiser."""
        name_of = {parameter: name for name, parameter in self.model.named_parameters()}
        return [name_of[parameter] for group in self._optimizer.param_groups for parameter in group["params"]]

    def _step(self, batch: TrainBatch, epoch: int) -> EpochLoss:
        """Train on a batch, of which each rank encodes its share."""
        with self._choice.autocast():
            loss, penalty, report = self._losses(batch, epoch)
        self._optimizer.zero_grad(set_to_none=True)
        (loss + penalty).backward()
        sum_gradients(self.model.parameters())
        self._optimizer.step()
        self.model.decay.keep_bounds()
        self.model.items.keep_bounds()
        return report

    def _losses(self, batch: TrainBatch, epoch: int) -> tuple[Tensor, Tensor, EpochLoss]:
        """What the targets cost, and all the rest."""
        model, example_count = self.model, len(batch.row_BL)
        own = batch.share(rank(), rank_count())
        item_vectors_ID = model.items.sample()
        interests_BKD, assignment_BKL = model.encode(item_vectors_ID, own)
        choice_BTK = model.decay.log_choice(assignment_BKL, own.mask_BL, own.targets.age_s_BTL)
        encoded = Encoded(interests_BKD, assignment_BKL, own.mask_BL, choice_BTK)
        bias_BI = self._popularity.at(own.newest_s_B)
        negatives = self._objective.negatives(batch.targets)
        loss = self._objective.likelihood_loss(encoded, own.targets, item_vectors_ID, bias_BI, negatives, epoch)
        # The rest is cheap, and not all of it is a mean over examples: every rank computes it for the whole batch.
        everyone = replace(
            encoded,
            interests_BKD=whole(interests_BKD, example_count),
            assignment_BKL=whole(assignment_BKL, example_count),
            mask_BL=batch.mask_BL,
        )
        penalty = self._objective.penalty(everyone)
        next_B = model.interest_of(item_vectors_ID, batch.targets.row_BT[:, 0])
        routing = everyone.assignment_BKL, batch.mask_BL
        # Its gradient does not come through the examples of a rank, but is complete on each.
        events = WholeEvents.of(everyone.assignment_BKL.detach(), batch.mask_BL, batch.targets.age_s_BTL[:, 0])
        decay_loss = model.decay.loss(events, next_B) / rank_count()
        information = routing_information(everyone.assignment_BKL.detach(), batch.mask_BL)
        separation = Separation.of(everyone.interests_BKD, *routing)
        return loss, penalty + decay_loss, EpochLoss(loss.item(), information.item(), *separation)
