"""Does it help to let the encoder fill gaps in histories before it is trained to look ahead?

    python benchmarks/pretraining.py DATA SPLIT [EPOCHS]

DATA is any folder that unbraid reads, SPLIT a split in its text form; only its training part is used, parted once more
for validation. In the pretraining stage a random event of every history is taken out and is the target, with the events
before and after it as the history. Then training goes on as without that stage, for EPOCHS epochs. Prints the
validation metrics of every epoch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import torch

from unbraid_core.errors import UnbraidError
from unbraid_training.config import TrainConfig
from unbraid_training.data.sources import open_dataset
from unbraid_training.data.splits import parse_split
from unbraid_training.examples import Examples, TrainBatch
from unbraid_training.item_statistics import log_popularity
from unbraid_training.loss.targets import Targets
from unbraid_training.score_fit import ALL_TIME_S
from unbraid_training.trainer import Trainer
from unbraid_training.validation import Validation, first_scoring

STAGES = (0, 1)

# Epochs of pretraining draw other examples than those of training.
FIRST_PRETRAINING_EPOCH = 1000


class Gaps(Examples):
    """The same histories, each with a gap for a target. One event alone has nothing to fill a gap from."""

    def epoch(self, rng: np.random.Generator) -> Iterator[TrainBatch]:
        """The batches of one epoch."""
        for batch in super().epoch(rng):
            yield _with_gaps(batch, rng)


def _with_gaps(batch: TrainBatch, rng: np.random.Generator) -> TrainBatch:
    long_B = batch.mask_BL.sum(dim=1) > 1
    row_BL, age_s_BL, action_BL, mask_BL = (
        part[long_B] for part in (batch.row_BL, batch.age_s_BL, batch.action_BL, batch.mask_BL)
    )
    draw_B = torch.from_numpy(rng.random(len(row_BL)))
    gap_B1 = (draw_B * mask_BL.sum(dim=1)).long().unsqueeze(1)
    age_of_gap_B1 = age_s_BL.gather(1, gap_B1)
    # Later events are as far from the gap as earlier ones of the same distance.
    distance_s_BL = (age_s_BL - age_of_gap_B1).abs()
    targets = Targets(row_BL.gather(1, gap_B1), distance_s_BL.unsqueeze(1), torch.ones_like(gap_B1, dtype=torch.bool))
    return TrainBatch(
        row_BL, age_s_BL, action_BL, mask_BL.scatter(1, gap_B1, value=False), batch.newest_s_B[long_B], targets
    )


def main(arguments: list[str]) -> int:
    """Run the benchmark and return the exit code."""
    if not 2 <= len(arguments) <= 3:
        sys.stderr.write(__doc__ or "")
        return 2
    torch.set_num_threads(1)
    config = TrainConfig(epochs=int(arguments[2]) if len(arguments) == 3 else 4)
    try:
        dataset, _ = open_dataset(arguments[0])
        split = parse_split(arguments[1])
    except UnbraidError as error:
        sys.stderr.write(f"error: {error.message}\n")
        return 2
    data = split.apply(dataset).train
    holdout = split.inner(data).apply(data)
    validation = Validation(holdout, config)
    for stage_epochs in STAGES:
        trainer = Trainer(holdout.train, config, log_popularity(holdout.train, ALL_TIME_S))
        trainer.examples = Gaps(holdout.train, config)
        for epoch in range(stage_epochs):
            trainer.run_epoch(FIRST_PRETRAINING_EPOCH + epoch, lambda: None)
        trainer.examples = Examples(holdout.train, config)
        for epoch in range(config.epochs):
            trainer.run_epoch(epoch, lambda: None)
            metrics = validation.score(trainer.model, first_scoring(config))
            sys.stdout.write(
                f"pretraining epochs {stage_epochs}, epoch {epoch + 1}: recall@50 {metrics['recall@50']:.4f}, "
                f"ndcg@50 {metrics['ndcg@50']:.4f}\n"
            )
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
