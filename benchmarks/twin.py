"""K interests next to one: the same data, settings, sources and loss, trained with K and with 1.

    python benchmarks/twin.py DATA --split before-2011-11-01-until-2011-12-10 [--interests 4] [--seeds 3]
        [--config experiments/uci.toml] [--balance 0] [--diversity 0] [--twin-diversity 0] [--out FOLDER]

Prints Recall@50, NDCG@50, coverage@50 and the intra-list diversity of both and their difference on the held-out users,
ranked by the score formula, as it was fitted and without popularity, whose weight decides over coverage more than
anything else. A list can also be varied because it misses what the user is at. The balance is the same for both, and
changes nothing for one interest; with --diversity, lists of the same accuracy can be compared. A user's values are
means over the seeds; the intervals are those of other users (paired bootstrap; for coverage the jackknife). Lists are
compared in spaces that neither model has made: co-occurrence in the training events, categories and words of titles,
where there are any. FOLDER keeps the runs, so that a second call goes on with them, and gets the figures as JSON and
Markdown.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from rich.console import Console

from unbraid_cli.console import rows_table
from unbraid_cli.train import TrainingDisplay
from unbraid_core.categories import Categories
from unbraid_core.pipeline import Pipeline
from unbraid_core.types import IntArray
from unbraid_training.config import TrainConfig
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.holdout import Holdout
from unbraid_training.data.sources import open_dataset
from unbraid_training.data.splits import Split, parse_split
from unbraid_training.evaluation.bootstrap import CONFIDENCE, RESAMPLES
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.contrast import Contrast, contrast, contrast_rows
from unbraid_training.evaluation.item_space import item_spaces
from unbraid_training.evaluation.markdown import markdown_table
from unbraid_training.evaluation.system import rank_with_pipeline
from unbraid_training.experiment import read_experiment
from unbraid_training.ranker.config import RankerConfig
from unbraid_training.train import train
from unbraid_training.validation import model_pipeline

BOOTSTRAP_SEED = 1


@dataclass(frozen=True)
class View:
    """What is asked: a task, and whether popularity has its say in the score."""

    task: Task
    with_popularity: bool

    def __str__(self) -> str:
        return f"task {self.task}, {'score as fitted' if self.with_popularity else 'score without popularity'}"


VIEWS = [View(task, with_popularity) for task in Task for with_popularity in (True, False)]


@dataclass(frozen=True)
class Comparison:
    """Everything that the figures depend on."""

    dataset: Dataset
    split: Split
    config: TrainConfig
    interest_count: int
    seeds: Sequence[int]
    balance: float
    diversity: float
    twin_diversity: float
    folder: Path

    def pipeline(self, interest_count: int, seed: int, train_part: Dataset) -> Pipeline:
        """The serving pipeline over a model, which is trained unless the folder has it."""
        changes = {"interest_count": interest_count, "seed": seed, "ranker": RankerConfig(origin_count=0)}
        config = self.config.model_copy(update=changes)
        with TrainingDisplay() as display:
            run = self.folder / f"k{interest_count}-seed{seed}"
            checkpoint = train(self.dataset, self.split, config, run, display)
        plain = model_pipeline(checkpoint.model, train_part, checkpoint.scoring, config.max_history)
        return replace(plain, categories=Categories.of(train_part.catalogue))

    def rankings(self, interest_count: int, diversity: float, holdout: Holdout) -> dict[View, list[IntArray]]:
        """What the models of all seeds recommend."""
        found: dict[View, list[IntArray]] = {view: [] for view in VIEWS}
        for seed in self.seeds:
            fitted = self.pipeline(interest_count, seed, holdout.train)
            unpopular = replace(fitted, scoring=replace(fitted.scoring, gamma=0.0))
            for view in VIEWS:
                pipeline, cases = fitted if view.with_popularity else unpopular, Cases.of(holdout, view.task)
                row_HR = rank_with_pipeline(pipeline, cases, lambda _: None, diversity=diversity, balance=self.balance)
                found[view].append(row_HR)
        return found

    def contrasts(self) -> dict[View, list[Contrast]]:
        """K interests against one."""
        holdout = self.split.apply(self.dataset)
        many = self.rankings(self.interest_count, self.diversity, holdout)
        one = self.rankings(1, self.twin_diversity, holdout)
        spaces = item_spaces(holdout.train)
        return {
            view: contrast(Cases.of(holdout, view.task), many[view], one[view], spaces, BOOTSTRAP_SEED)
            for view in VIEWS
        }


def write(comparison: Comparison, contrasts: dict[View, list[Contrast]]) -> None:
    """The figures as JSON and as Markdown."""
    conditions = {
        "split": str(comparison.split),
        "settings": comparison.config.model_dump(mode="json"),
        "interest_count": comparison.interest_count,
        "seeds": list(comparison.seeds),
        "balance": comparison.balance,
        "diversity": comparison.diversity,
        "twin_diversity": comparison.twin_diversity,
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
    }
    figures = [{**asdict(view), "contrasts": [asdict(each) for each in found]} for view, found in contrasts.items()]
    (comparison.folder / "twin.json").write_text(json.dumps({**conditions, "figures": figures}, indent=2) + "\n")
    parts = [
        f"## {view}\n\n{markdown_table(contrast_rows(found, f'K={comparison.interest_count}', 'K=1'))}"
        for view, found in contrasts.items()
    ]
    (comparison.folder / "twin.md").write_text("\n".join([f"# K={comparison.interest_count} and K=1\n", *parts]))


def main() -> None:
    """Train what is missing, print the tables and write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder of events and items")
    parser.add_argument("--split", required=True, help="what is held out")
    parser.add_argument("--interests", type=int, default=4, help="K of the system; its twin has 1")
    parser.add_argument("--seeds", type=int, default=3, help="how many runs of each")
    parser.add_argument("--config", type=Path, help="experiment with the settings of both; else the defaults")
    parser.add_argument("--balance", type=float, default=0.0, help="of every request to both")
    parser.add_argument("--diversity", type=float, default=0.0, help="of every request to the system")
    parser.add_argument("--twin-diversity", type=float, default=0.0, help="of every request to its twin")
    parser.add_argument("--out", type=Path, default=Path("twin"), help="folder for runs and figures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dataset, _ = open_dataset(arguments.data)
    seeds = range(1, arguments.seeds + 1)
    comparison = Comparison(
        dataset=dataset,
        split=parse_split(arguments.split),
        config=read_experiment(arguments.config, {}).train if arguments.config else TrainConfig(),
        interest_count=arguments.interests,
        seeds=seeds,
        balance=arguments.balance,
        diversity=arguments.diversity,
        twin_diversity=arguments.twin_diversity,
        folder=arguments.out,
    )
    contrasts = comparison.contrasts()
    write(comparison, contrasts)
    for view, found in contrasts.items():
        Console().print(f"\n{view}", style="bold")
        Console().print(rows_table(contrast_rows(found, f"K={arguments.interests}", "K=1")))


if __name__ == "__main__":
    main()
