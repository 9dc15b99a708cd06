"""What each group of features is worth to the ranker: all of them next to all but one group.

    python benchmarks/ranker_ablation.py experiments/uci.toml --data DIR --split before-2011-10-01-until-2011-11-01

Trains the model at the split and at the origins before it, asks for candidates, fits a ranker on the origins for every
row of the table, and ranks the candidates of the split. Give a validation split, not the test.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from unbraid_core.features import FEATURE_NAMES
from unbraid_training.config import TrainConfig
from unbraid_training.data.sources import open_dataset
from unbraid_training.data.splits import parse_split
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.metrics import user_metrics
from unbraid_training.experiment import read_experiment
from unbraid_training.item_statistics import log_popularity
from unbraid_training.ranker.booster import fit_booster
from unbraid_training.ranker.examples import RankerExamples
from unbraid_training.ranker.origin import Origin, find_origins
from unbraid_training.score_fit import ALL_TIME_S
from unbraid_training.trainer import Trainer
from unbraid_training.validation import first_scoring, model_pipeline

Examples = Mapping[Task, RankerExamples]


def starts_with(*prefixes: str) -> Callable[[str], bool]:
    """Whether a name starts with any of these."""
    return lambda name: name.startswith(prefixes)


GROUPS: dict[str, Callable[[str], bool]] = {
    "interests": starts_with("interest", "affinity", "log_share", "blend"),
    "neighbours": starts_with("neighbour", "blend"),
    "factors": starts_with("factor", "blend"),
    "blend of the sources": starts_with("blend"),
    "popularity and trends": starts_with("log_popularity", "trend", "blend"),
    "item age, repeats, users": starts_with("first_seen", "last_seen", "repeat_rate", "log_user_count"),
    "own events on the item": starts_with("own"),
    "activity of the user": starts_with("user"),
}


def examples_at(origin: Origin, config: TrainConfig) -> Examples:
    """What the pipeline finds for the users of an origin, trained on the events before it."""
    train = origin.holdout.train
    trainer = Trainer(train, config, log_popularity(train, ALL_TIME_S))
    for epoch in range(config.epochs):
        trainer.run_epoch(epoch, lambda: None)
    pipeline = model_pipeline(trainer.model.eval(), train, first_scoring(config), config.max_history)
    return origin.examples(pipeline, config.ranker, config.seed, lambda: None)


def without(part: RankerExamples, left_out: Callable[[str], bool]) -> RankerExamples:
    """The same candidates with some columns made constant, which trees cannot split on."""
    feature_CF = part.feature_CF.copy()
    feature_CF[:, [left_out(name) for name in FEATURE_NAMES]] = 0.0
    return replace(part, feature_CF=feature_CF)


def row_of(
    left_out: Callable[[str], bool],
    earlier: list[Examples],
    now: Examples,
    test: Origin,
    config: TrainConfig,
) -> list[str]:
    """Recall@50 and NDCG@50 of both tasks, means over the seeds of the trees."""
    parts = [without(part, left_out) for examples in earlier for part in examples.values()]
    judged = {task: without(part, left_out) for task, part in now.items()}
    values = []
    for seed in (1, 2):
        ranker = fit_booster(parts, config.ranker, seed)
        metrics = {
            task: user_metrics(
                part.ranked(ranker.score(part.feature_CF)), test.cases[task].targets, len(test.cases[task].catalogue)
            )
            for task, part in judged.items()
        }
        values.append([metrics[task][key].mean() for task in Task for key in ("recall@50", "ndcg@50")])
    return [f"{value:.4f}" for value in np.mean(values, axis=0)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", required=True)
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    settings = read_experiment(arguments.experiment, {}).train
    config = settings.model_copy(update={"epochs": arguments.epochs})
    dataset, _ = open_dataset(arguments.data)
    rule = parse_split(arguments.split)
    holdout = rule.apply(dataset)
    test = Origin(rule, holdout, {task: Cases.of(holdout, task) for task in Task})
    console = Console()
    now, *earlier = [
        examples_at(origin, config) for origin in (test, *find_origins(rule, holdout.train, config.ranker, config.seed))
    ]
    table = Table("without", "new R@50", "new N@50", "all R@50", "all N@50")
    for name, left_out in {"(all features)": lambda _name: False, **GROUPS}.items():
        row = [name, *row_of(left_out, earlier, now, test, config)]
        console.print(*row)
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main()
