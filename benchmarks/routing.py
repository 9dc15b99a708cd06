"""What keeps interests separate: the shipped encoder next to itself without one of its parts, on planted interests.

    python benchmarks/routing.py [--seeds 3]

Prints, for every variant, the median over seeds of: agreement of the assignment with the planted interests (NMI), how
sharp the assignment is (mean of the largest share of an event), and validation recall@50 of the served pipeline.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

from unbraid_core.types import Query
from unbraid_training.config import EncoderConfig, LossConfig, TrainConfig
from unbraid_training.data.splits import LastEvents
from unbraid_training.data.synthetic import Planted, SyntheticSpec, plant
from unbraid_training.encoder import MultiInterestEncoder
from unbraid_training.encoder.events import Events
from unbraid_training.evaluation.clustering import normalised_mutual_information
from unbraid_training.item_statistics import log_popularity
from unbraid_training.score_fit import ALL_TIME_S
from unbraid_training.trainer import Trainer
from unbraid_training.validation import Validation, first_scoring, model_pipeline

EPOCHS = 8
SPLIT = LastEvents(10)


class MlpScores(MultiInterestEncoder):
    """The scores of ComiRec-SA, W2 tanh(W1 x), in place of cosines with learned directions."""

    def __init__(
        self, dimension: int, interest_count: int, action_count: int, dropout: float, config: EncoderConfig
    ) -> None:
        super().__init__(dimension, interest_count, action_count, dropout, config)
        self.scores = nn.Sequential(
            nn.Linear(dimension, 4 * dimension), nn.Tanh(), nn.Linear(4 * dimension, interest_count)
        )

    def _log_assignment(self, events: Events) -> Tensor:
        return torch.log_softmax(self.scores(events.event_BLD), dim=-1)


def shipped(planted: Planted, seed: int, **settings: float | LossConfig) -> Trainer:
    """A trainer as `unbraid train` makes it."""
    data = SPLIT.apply(planted.dataset).train
    config = TrainConfig(seed=seed, epochs=EPOCHS, **settings)
    return Trainer(data, config, log_popularity(data, ALL_TIME_S))


def without_information(planted: Planted, seed: int) -> Trainer:
    """Nothing in the loss rewards a routing that tells events apart."""
    return shipped(planted, seed, loss=LossConfig(routing_weight=0.0))


def random_start(planted: Planted, seed: int) -> Trainer:
    """Item vectors and directions start at random; their learning rate is raised to make up for it."""
    trainer = shipped(planted, seed, item_learning_rate=3e-3)
    for parameter in trainer.model.items.parameters():
        nn.init.normal_(parameter, std=0.1)
    nn.init.normal_(trainer.model.encoder.direction_KD)
    return trainer


def mlp_scores(planted: Planted, seed: int) -> Trainer:
    """ComiRec-SA's scores instead of directions; nothing of the encoder starts warm."""
    with patch("unbraid_training.model.MultiInterestEncoder", MlpScores):
        return shipped(planted, seed)


VARIANTS: dict[str, Callable[[Planted, int], Trainer]] = {
    "as shipped": shipped,
    "without routing information": without_information,
    "random start": random_start,
    "scores W2 tanh(W1 x)": mlp_scores,
}


def measure(make: Callable[[Planted, int], Trainer], planted: Planted, seed: int) -> tuple[float, float, float]:
    """NMI, sharpness and validation recall@50 after EPOCHS epochs."""
    trainer = make(planted, seed)
    for epoch in range(EPOCHS):
        trainer.run_epoch(epoch, lambda: None)
    holdout, config = SPLIT.apply(planted.dataset), trainer.config
    recall = Validation(holdout, config).score(trainer.model, first_scoring(config))["recall@50"]
    pipeline = model_pipeline(trainer.model, holdout.train, first_scoring(config), config.max_history)
    histories = [holdout.train.history(user) for user in range(len(holdout.train.user_ids))]
    answers = pipeline.interests([Query(history, float(history.time_s_N[-1]), 0) for history in histories])
    interests = [each for each in answers if each is not None]
    assignment_KN = np.concatenate([each.assignment_KL for each in interests], axis=1)
    cluster_of_id = dict(zip(planted.dataset.catalogue.item_ids, planted.cluster_of_item_I, strict=True))
    cluster_I = np.array([cluster_of_id[item_id] for item_id in holdout.train.catalogue.item_ids])
    cluster_N = np.concatenate([cluster_I[each.history.row_N] for each in interests])
    nmi = normalised_mutual_information(assignment_KN.argmax(axis=0), cluster_N)
    return nmi, float(assignment_KN.max(axis=0).mean()), recall


def main() -> None:
    """Measure every variant and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds to take the median of")
    seeds = range(1, parser.parse_args().seeds + 1)
    torch.set_num_threads(1)
    table = Table("variant", "NMI", "sharpness", "recall@50", title=f"medians of {len(seeds)} seeds, K = 4")
    for name, make in track(VARIANTS.items(), "training"):
        results = [measure(make, plant(SyntheticSpec(seed=seed)), seed) for seed in seeds]
        table.add_row(name, *(f"{value:.3f}" for value in np.median(results, axis=0)))
    Console().print(table)


if __name__ == "__main__":
    main()
