"""What decay is worth: learned half-lives against none and against the best fixed one, and whether they are found.

    python benchmarks/decay.py planted [--seeds 3]
    python benchmarks/decay.py compare --data uci_online_retail [--seeds 3] --out decay

``planted`` prints the half-lives that training finds next to the planted ones.

``compare`` trains the shipped model with learned half-lives, without decay, and with several fixed half-lives, the same
for all interests. The best fixed one is chosen on the validation split; for it and the other two the score is fitted
there, then they are trained again and scored once on the test split by the pipeline in profile formula. It writes
OUT.json and OUT.md, with 95 % intervals of the paired bootstrap over users.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from scipy.optimize import linear_sum_assignment

from unbraid_core.types import DoubleArray, Scoring
from unbraid_training.config import DAY_S, DecayConfig, TrainConfig
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.sources import open_dataset
from unbraid_training.data.splits import LastEvents, parse_split
from unbraid_training.data.synthetic import Planted, SyntheticSpec, plant
from unbraid_training.evaluation.bootstrap import bootstrap_means, paired_differences
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.metrics import user_metrics
from unbraid_training.evaluation.system import rank_with_pipeline
from unbraid_training.item_statistics import log_popularity
from unbraid_training.score_fit import ALL_TIME_S
from unbraid_training.trainer import Trainer
from unbraid_training.validation import Validation, first_scoring, model_pipeline

PLANTED_EPOCHS = 8
LEARNED, NONE = "learned", "none"
METRICS = ("recall@50", "ndcg@50")
Metrics = dict[str, DoubleArray]

console = Console()


@dataclass(frozen=True)
class Arguments:
    """Of the comparison."""

    data: Path
    validation: str
    test: str
    fixed_days: list[float]
    epochs: int
    seeds: int
    out: Path


def trained(train: Dataset, decay: DecayConfig, seed: int, epochs: int) -> Trainer:
    """A trainer after some epochs."""
    trainer = Trainer(train, TrainConfig(seed=seed, decay=decay), log_popularity(train, ALL_TIME_S))
    for epoch in range(epochs):
        trainer.run_epoch(epoch, lambda: None)
    trainer.settle_decay()
    return trainer


def half_life_days(trainer: Trainer) -> DoubleArray:
    """Of every interest."""
    days_K: DoubleArray = trainer.model.half_life_s().detach().numpy().astype(np.float64) / DAY_S
    return days_K


def found_days(planted: Planted, seed: int) -> DoubleArray:
    """The half-life of the interest that stands for each planted cluster, matched by what it holds."""
    train = LastEvents(10).apply(planted.dataset).train
    trainer = trained(train, DecayConfig(), seed, PLANTED_EPOCHS)
    row_I = torch.arange(len(train.catalogue))
    interest_I = trainer.model.eval().interest_of(trainer.model.item_vectors(), row_I).numpy()
    cluster_I = planted.cluster_of_item_I[planted.dataset.catalogue.rows(train.catalogue.item_ids)]
    together_KK = np.zeros((trainer.config.interest_count, len(planted.half_life_s_K)))
    np.add.at(together_KK, (interest_I, cluster_I), 1.0)
    found_K, cluster_K = linear_sum_assignment(-together_KK)
    return half_life_days(trainer)[found_K[np.argsort(cluster_K)]]


def recover(seeds: int) -> None:
    """Print what is found of planted half-lives."""
    days_SK = []
    for seed in range(1, seeds + 1):
        planted = plant(SyntheticSpec(seed=seed))
        days_K = found_days(planted, seed)
        factor = np.exp(np.abs(np.log(days_K * DAY_S / planted.half_life_s_K)).max())
        console.print(f"seed {seed}: {np.round(days_K, 2).tolist()} days, off by a factor of at most {factor:.2f}")
        days_SK.append(days_K)
    console.print(f"median: {np.round(np.median(days_SK, axis=0), 2).tolist()} days")


def decays(fixed_days: Sequence[float]) -> dict[str, DecayConfig]:
    """What is compared, by name."""
    fixed = {f"fixed {days:g} d": DecayConfig(kind="fixed", half_lives_s=(days * DAY_S,)) for days in fixed_days}
    return {LEARNED: DecayConfig(), NONE: DecayConfig(kind="none"), **fixed}


def choose(dataset: Dataset, arguments: Arguments) -> tuple[dict[str, list[Scoring]], dict[str, float]]:
    """Validation NDCG@50 of all, and the fitted scores of learned, none and the best fixed, one for each seed."""
    holdout = parse_split(arguments.validation).apply(dataset)
    seeds = range(1, arguments.seeds + 1)
    ndcg: dict[str, float] = {}
    trainers: dict[str, list[Trainer]] = {}
    for name, decay in track(decays(arguments.fixed_days).items(), "validation", console=console):
        trainers[name] = [trained(holdout.train, decay, seed, arguments.epochs) for seed in seeds]
        scores = [
            Validation(holdout, each.config).score(each.model, first_scoring(each.config))["ndcg@50"]
            for each in trainers[name]
        ]
        ndcg[name] = float(np.mean(scores))
        console.print(f"{name}: validation ndcg@50 {ndcg[name]:.4f}, days {half_life_days(trainers[name][0]).round(1)}")
    best_fixed = max((name for name in ndcg if name not in (LEARNED, NONE)), key=lambda name: ndcg[name])
    scorings = {
        name: [Validation(holdout, each.config).fit_scoring(each.model, lambda: None) for each in trainers[name]]
        for name in track((LEARNED, NONE, best_fixed), "fitting scores", console=console)
    }
    return scorings, ndcg


def test(dataset: Dataset, scorings: dict[str, list[Scoring]], arguments: Arguments) -> dict[Task, dict[str, Metrics]]:
    """The metrics of every test user, means over seeds."""
    holdout = parse_split(arguments.test).apply(dataset)
    cases = {task: Cases.of(holdout, task) for task in Task}
    found: dict[Task, dict[str, Metrics]] = {task: {} for task in Task}
    for name, of_seeds in track(scorings.items(), "test", console=console):
        runs: dict[Task, list[Metrics]] = {task: [] for task in Task}
        for seed, scoring in enumerate(of_seeds, 1):
            trainer = trained(holdout.train, decays(arguments.fixed_days)[name], seed, arguments.epochs)
            pipeline = model_pipeline(trainer.model, holdout.train, scoring, trainer.config.max_history)
            for task, asked in cases.items():
                row_HR = rank_with_pipeline(pipeline, asked, lambda _: None)
                runs[task].append(user_metrics(row_HR, asked.targets, len(asked.catalogue)))
        for task, metrics in runs.items():
            found[task][name] = {each: np.mean([run[each] for run in metrics], axis=0) for each in METRICS}
    return found


def table(found: dict[Task, dict[str, Metrics]]) -> list[dict[str, object]]:
    """A row for each task and decay: means, and the gain of learned half-lives with its interval."""
    rows: list[dict[str, object]] = []
    for task, by_name in found.items():
        for name, metrics in by_name.items():
            row: dict[str, object] = {"task": str(task), "decay": name}
            row.update({each: asdict(value) for each, value in bootstrap_means(metrics, seed=1).items()})
            gains = paired_differences(by_name[LEARNED], metrics, seed=1)
            row.update({f"gain of learned, {each}": asdict(value) for each, value in gains.items() if name != LEARNED})
            rows.append(row)
    return rows


def markdown(rows: list[dict[str, object]]) -> str:
    """The rows as a table."""

    def cell(row: dict[str, object], column: str) -> str:
        value = row.get(column)
        if not isinstance(value, dict):
            return "" if value is None else str(value)
        return f"{value['mean']:.4f} [{value['low']:.4f}, {value['high']:.4f}]"

    columns = ["task", "decay", *METRICS, *(f"gain of learned, {each}" for each in METRICS)]
    lines = [columns, ["---"] * len(columns), *([cell(row, column) for column in columns] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def compare(arguments: Arguments) -> None:
    """Run the comparison and write its tables."""
    dataset, _ = open_dataset(arguments.data)
    scorings, ndcg = choose(dataset, arguments)
    rows = table(test(dataset, scorings, arguments))
    report = {
        "settings": asdict(arguments) | {"data": arguments.data.name, "out": arguments.out.name},
        "validation ndcg@50": ndcg,
        "scoring": {name: [asdict(scoring) for scoring in of_seeds] for name, of_seeds in scorings.items()},
        "test": rows,
    }
    arguments.out.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")
    arguments.out.with_suffix(".md").write_text(markdown(rows))
    console.print(markdown(rows), soft_wrap=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    planted = commands.add_parser("planted")
    planted.add_argument("--seeds", type=int, default=3)
    comparison = commands.add_parser("compare")
    comparison.add_argument("--data", type=Path, required=True)
    comparison.add_argument("--validation", default="before-2011-10-01-until-2011-11-01")
    comparison.add_argument("--test", default="before-2011-11-01-until-2011-12-10")
    comparison.add_argument("--fixed-days", type=float, nargs="+", default=[3.0, 10.0, 30.0, 100.0])
    comparison.add_argument("--epochs", type=int, default=4)
    comparison.add_argument("--seeds", type=int, default=1)
    comparison.add_argument("--out", type=Path, default=Path("decay"))
    arguments = vars(parser.parse_args())
    torch.set_num_threads(1)
    if arguments.pop("command") == "planted":
        recover(**arguments)
    else:
        compare(Arguments(**arguments))


if __name__ == "__main__":
    main()
