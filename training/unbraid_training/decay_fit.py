"""The decay that is most likely, given the interests as they are.

The steps of an epoch carry half-lives along while interests change, but the half-life of a rare or slow interest shows
in many examples only. So the decay starts where a fit has it, and ends there again when all else is trained.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from unbraid_training.examples import Examples, TrainBatch
from unbraid_training.loss.whole_events import WholeEvents
from unbraid_training.model import Model

__all__ = ["fit_decay"]

STEP_COUNT = 50
# Of log half-lives. Steps that adapt to each of them and are bounded do not fly off to where nothing fades any more,
# from where no gradient leads back.
FIRST_STEP, STEP_BOUNDS = 0.1, (1e-4, 0.5)


def fit_decay(model: Model, examples: Examples, count: int, seed: int) -> None:
    """Fit the half-lives, as far as they may move, and the restlessness to some examples.

    Args:
        model: its encoder and item vectors stay as they are.
        examples: of the training events; without any, the decay stays as it is.
        count: of the examples that are looked at.
        seed: of the choice of examples.
    """
    known = [_seen(model, batch) for batch in examples.some(count, np.random.default_rng(seed))]
    if not known:
        return
    example_count = sum(len(next_B) for *_, next_B in known)
    optimizer = torch.optim.Rprop(model.decay.trainable(), lr=FIRST_STEP, step_sizes=STEP_BOUNDS)
    for _ in range(STEP_COUNT):
        optimizer.zero_grad()
        for events, next_B in known:
            (model.decay.loss(events, next_B) * (len(next_B) / example_count)).backward()
        optimizer.step()
        model.decay.keep_bounds()


@torch.no_grad()
def _seen(model: Model, batch: TrainBatch) -> tuple[WholeEvents, Tensor]:
    """What the loss of the decay reads."""
    model.eval()
    item_vectors_ID = model.item_vectors()
    batch = batch.to(item_vectors_ID.device)
    _, assignment_BKL = model.encode(item_vectors_ID, batch)
    next_B = model.interest_of(item_vectors_ID, batch.targets.row_BT[:, 0])
    return WholeEvents.of(assignment_BKL, batch.mask_BL, batch.targets.age_s_BTL[:, 0]), next_B
