"""What the parts of profile learned are worth: all of them next to all but one.

    python benchmarks/ranker_ablation.py experiments/uci.toml --data DIR --split before-2011-10-01-until-2011-11-01

Trains the model at the split and at the origins before it, asks for candidates, fits a ranker on the origins for every
row of the tables, and ranks the candidates of the split. In the first table a row goes without a group of features; in
the second without the candidates that only one source finds, and below that also without what the source says about
the others; in the third another head ranks. Give a validation split, not the test.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from unbraid_core.features import FEATURE_NAMES
from unbraid_core.types import Source
from unbraid_training.config import TrainConfig
from unbraid_training.data.sources import open_dataset
from unbraid_training.data.splits import parse_split
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.metrics import user_metrics
from unbraid_training.experiment import read_experiment
from unbraid_training.item_statistics import log_popularity
from unbraid_training.ranker.config import HeadName
from unbraid_training.ranker.examples import RankerExamples
from unbraid_training.ranker.heads import fit_head
from unbraid_training.ranker.origin import Origin, find_origins
from unbraid_training.score_fit import ALL_TIME_S
from unbraid_training.trainer import Trainer
from unbraid_training.validation import first_scoring, model_pipeline

Examples = Mapping[Task, RankerExamples]


# How the names of the columns of a group begin.
GROUPS: dict[str, tuple[str, ...]] = {
    "interests": ("interest", "affinity", "log_share", "blend"),
    "neighbours": ("neighbour", "blend"),
    "factors": ("factor", "blend"),
    "blend of the sources": ("blend",),
    "popularity and trends": ("log_popularity", "trend", "blend"),
    "item age, repeats, users": ("first_seen", "last_seen", "repeat_rate", "log_user_count"),
    "own events on the item": ("own",),
    "activity of the user": ("user",),
}


def examples_at(origin: Origin, config: TrainConfig) -> Examples:
    """What the pipeline finds for the users of an origin, trained on the events before it."""
    train = origin.holdout.train
    trainer = Trainer(train, config, log_popularity(train, ALL_TIME_S))
    for epoch in range(config.epochs):
        trainer.run_epoch(epoch, lambda: None)
    pipeline = model_pipeline(trainer.model.eval(), train, first_scoring(config), config.max_history)
    with_products = config.ranker.model_copy(update={"head": "interactions"})
    return origin.examples(pipeline, with_products, config.seed, lambda: None)


@dataclass(frozen=True)
class Variant:
    """A row of a table.

    Attributes:
        name: of the row.
        prefixes: how the columns begin that are made constant, so that trees cannot split on them.
        source: whose candidates are left out where no other source finds them.
        head: what ranks.
        product: whether it is shown the products of interest and item.
    """

    name: str
    prefixes: tuple[str, ...] = ()
    source: int = 0
    head: HeadName = "trees"
    product: bool = False

    def of(self, part: RankerExamples) -> RankerExamples:
        """The examples as this variant has them."""
        kept_C = (part.source_C & ~self.source) > 0
        user_C = np.repeat(np.arange(len(part.size_Q)), part.size_Q)
        column_count = part.feature_CF.shape[1] if self.product else len(FEATURE_NAMES)
        feature_CF = part.feature_CF[kept_C, :column_count]
        left_out = [position for position, name in enumerate(FEATURE_NAMES) if name.startswith(self.prefixes)]
        feature_CF[:, left_out] = 0.0
        return RankerExamples(
            feature_CF=feature_CF,
            row_C=part.row_C[kept_C],
            source_C=part.source_C[kept_C],
            taken_C=part.taken_C[kept_C],
            size_Q=np.bincount(user_C[kept_C], minlength=len(part.size_Q)),
        )


FEATURE_VARIANTS = [Variant("(all features)"), *(Variant(name, prefixes) for name, prefixes in GROUPS.items())]
SOURCE_VARIANTS = [
    Variant("(all sources)"),
    *(Variant(f"candidates of {source.name}", source=source) for source in Source if source.name),
    Variant("NEIGHBOURS at all", GROUPS["neighbours"], Source.NEIGHBOURS),
    Variant("FACTORS at all", GROUPS["factors"], Source.FACTORS),
]
HEAD_VARIANTS = [
    Variant("trees"),
    Variant("network over the features", head="interactions"),
    Variant("network over features and products", head="interactions", product=True),
]


def row_of(variant: Variant, earlier: list[Examples], now: Examples, test: Origin, config: TrainConfig) -> list[str]:
    """Candidates, their recall, and Recall@50 and NDCG@50 of both tasks, the last two as means over two seeds."""
    parts = [variant.of(part) for examples in earlier for part in examples.values()]
    judged = {task: variant.of(part) for task, part in now.items()}
    ranked_by = config.ranker.model_copy(update={"head": variant.head})
    rankers = [fit_head(parts, ranked_by, seed) for seed in (1, 2)]
    row = [variant.name]
    for task, part in judged.items():
        cases = test.cases[task]
        metrics = [
            user_metrics(part.ranked(ranker.score(part.feature_CF)), cases.targets, len(cases.catalogue))
            for ranker in rankers
        ]
        means = [float(np.mean([each[key].mean() for each in metrics])) for key in ("recall@50", "ndcg@50")]
        row += [f"{part.size_Q.mean():.0f}", *(f"{value:.4f}" for value in (candidate_recall(part, cases), *means))]
    return row


def candidate_recall(part: RankerExamples, cases: Cases) -> float:
    """The share of a user's targets that are among the candidates, mean over users."""
    user_C = np.repeat(np.arange(len(cases)), part.size_Q)
    found_H = np.bincount(user_C, part.taken_C, len(cases))
    return float(np.mean(found_H / np.array([len(target_T) for target_T in cases.targets])))


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
    console = Console(width=140)
    now, *earlier = [
        examples_at(origin, config) for origin in (test, *find_origins(rule, holdout.train, config.ranker, config.seed))
    ]
    columns = [f"{task} {name}" for task in Task for name in ("candidates", "recall", "R@50", "N@50")]
    for title, variants in (("without", FEATURE_VARIANTS), ("without", SOURCE_VARIANTS), ("head", HEAD_VARIANTS)):
        table = Table(title, *columns)
        for variant in variants:
            table.add_row(*row_of(variant, earlier, now, test, config))
        console.print(table)


if __name__ == "__main__":
    main()
