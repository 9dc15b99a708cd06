"""Where the decay starts: fitted to the first assignment, so that a short training need not carry it there."""

from __future__ import annotations

from itertools import islice

import numpy as np
import torch
from torch import Tensor

from unbraid_training.examples import Examples, TrainBatch
from unbraid_training.model import Model

__all__ = ["fit_decay"]

BATCH_COUNT = 8
STEP_COUNT = 25


def fit_decay(model: Model, examples: Examples, seed: int) -> None:
    """Fit the half-lives, as far as they may move, and the restlessness to some examples.

    Args:
        model: its encoder and item vectors stay as they are.
        examples: of the training events; without any, the decay stays as it is.
        seed: of the choice of examples.
    """
    known = [_seen(model, batch) for batch in islice(examples.epoch(np.random.default_rng(seed)), BATCH_COUNT)]
    if not known:
        return
    optimizer = torch.optim.LBFGS(model.decay.trainable(), max_iter=STEP_COUNT, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        mean = torch.stack([model.decay.loss(*each) for each in known]).mean()
        mean.backward()
        return mean.item()

    optimizer.step(loss)
    model.decay.keep_bounds()


@torch.no_grad()
def _seen(model: Model, batch: TrainBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the loss of the decay reads."""
    model.eval()
    item_vectors_ID = model.item_vectors()
    _, assignment_BKL = model.encode(item_vectors_ID, batch)
    next_B = model.interest_of(item_vectors_ID, batch.targets.row_BT[:, 0])
    return assignment_BKL, batch.mask_BL, batch.targets.age_s_BTL[:, 0], next_B
