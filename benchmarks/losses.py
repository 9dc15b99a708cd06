"""What each part of the loss is worth: the shipped one next to itself with one setting changed.

    python benchmarks/losses.py [--seeds 1] [--data uci_online_retail]

On planted interests: agreement of the assignment of items with the planted clusters (NMI), by which factor the worst
half-life is off, how far apart interests are, and validation recall@50. With --data, also NDCG@50 on the validation
split of real data. All before any number of the score is fitted; medians over seeds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from unbraid_cli.console import console, error_console, rows_table
from unbraid_training.config import LossConfig, TrainConfig
from unbraid_training.data.holdout import Holdout
from unbraid_training.data.sources import open_dataset
from unbraid_training.data.splits import LastEvents, parse_split
from unbraid_training.data.synthetic import Planted, SyntheticSpec, plant
from unbraid_training.evaluation.clustering import normalised_mutual_information
from unbraid_training.item_statistics import log_popularity
from unbraid_training.score_fit import ALL_TIME_S
from unbraid_training.trainer import EpochLoss, Trainer
from unbraid_training.validation import Validation, first_scoring

PLANTED_EPOCHS, EPOCHS = 8, 4
VARIANTS: dict[str, LossConfig] = {
    "as shipped": LossConfig(),
    "no routing information": LossConfig(routing_weight=0.0),
    "REMI's routing variance instead": LossConfig(routing_weight=0.0, variance_weight=0.1),
    "routing variance besides": LossConfig(variance_weight=0.1),
    "hardness 0.5": LossConfig(hardness=0.5),
    "hardness 1": LossConfig(hardness=1.0),
    "hard selection after 2 epochs": LossConfig(soft_epochs=2),
    "distance correlation 0.5": LossConfig(correlation_weight=0.5),
    "sampled softmax, 256 + in-batch": LossConfig(full_softmax_items=0, negative_count=256),
}


def trained(holdout: Holdout, loss: LossConfig, seed: int, epochs: int) -> tuple[Trainer, EpochLoss, dict[str, float]]:
    """A trainer after some epochs, its last report and its validation metrics."""
    config = TrainConfig(seed=seed, loss=loss)
    trainer = Trainer(holdout.train, config, log_popularity(holdout.train, ALL_TIME_S))
    reports = [trainer.run_epoch(epoch, lambda: None) for epoch in range(epochs)]
    trainer.settle_decay()
    return trainer, reports[-1], Validation(holdout, config).score(trainer.model, first_scoring(config))


def on_planted(planted: Planted, loss: LossConfig, seed: int) -> list[float]:
    """NMI, the worst factor between half-lives, effective events, usage entropy, cosine, recall@50."""
    holdout = LastEvents(10).apply(planted.dataset)
    trainer, report, metrics = trained(holdout, loss, seed, PLANTED_EPOCHS)
    model, catalogue = trainer.model.eval(), holdout.train.catalogue
    interest_I = model.interest_of(model.item_vectors(), torch.arange(len(catalogue))).numpy()
    cluster_I = planted.cluster_of_item_I[planted.dataset.catalogue.rows(catalogue.item_ids)]
    together_KK = np.zeros((trainer.config.interest_count, len(planted.half_life_s_K)))
    np.add.at(together_KK, (interest_I, cluster_I), 1.0)
    found_K, cluster_K = linear_sum_assignment(-together_KK)
    ratio_K = model.half_life_s().detach().numpy()[found_K] / planted.half_life_s_K[cluster_K]
    return [
        normalised_mutual_information(interest_I, cluster_I),
        float(np.exp(np.abs(np.log(ratio_K)).max())),
        report.effective_events,
        report.usage_entropy,
        report.cosine,
        metrics["recall@50"],
    ]


def main() -> None:
    """Measure every variant and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds to take the median of")
    parser.add_argument("--data", type=Path, help="real data to validate on too")
    parser.add_argument("--validation", default="before-2011-10-01-until-2011-11-01")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seeds = range(1, arguments.seeds + 1)
    holdout = parse_split(arguments.validation).apply(open_dataset(arguments.data)[0]) if arguments.data else None
    columns = ["NMI", "half-lives", "events", "usage", "cosine", "recall@50"]
    table = [("loss", *columns, *(["ndcg@50, real"] if holdout else []))]
    for name, loss in VARIANTS.items():
        rows = [on_planted(plant(SyntheticSpec(seed=seed)), loss, seed) for seed in seeds]
        values = np.median(rows, axis=0).tolist()
        if holdout:
            values.append(np.median([trained(holdout, loss, seed, EPOCHS)[2]["ndcg@50"] for seed in seeds]))
        table.append((name, *(f"{value:.4f}" for value in values)))
        error_console.print(*table[-1])
    console.print(f"medians of {len(seeds)} seeds")
    console.print(rows_table(table))


if __name__ == "__main__":
    main()
