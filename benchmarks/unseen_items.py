"""How well items are recommended that training never saw, by their text alone.

    python benchmarks/unseen_items.py DATA SPLIT TEXT [SEED] [EPOCHS]

DATA is any folder that unbraid reads, SPLIT a split in its text form, TEXT what `unbraid train --item-text` takes. A
random tenth of the items is taken out of the data, with all their events. A model is trained on the rest and exported,
and the release is built with the tenth as new items: their vectors come from item_encoder.onnx, out of their titles
and categories. Then every user is asked for who picked one of them in the window of the split and did not know it
before, first among the new items only, then among all items.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from unbraid_core.errors import UnbraidError
from unbraid_core.pipeline import Pipeline
from unbraid_core.release import Release, ReleaseStore
from unbraid_core.types import BoolArray, FloatArray, IntArray, Profile, Query
from unbraid_exporter.export import export_checkpoint
from unbraid_index.release_build import build_release
from unbraid_server.device import Device
from unbraid_server.model import load_model
from unbraid_training.config import TrainConfig
from unbraid_training.content.config import ContentConfig
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.holdout import MIN_TRAINING_ITEMS
from unbraid_training.data.sources import open_dataset
from unbraid_training.data.splits import Split, parse_split
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.metrics import RANK_COUNT
from unbraid_training.evaluation.report import Answers, EvaluationReport, Setting
from unbraid_training.observer import EpochReport
from unbraid_training.ranker.config import RankerConfig
from unbraid_training.train import train

UNSEEN_SHARE = 0.1
SHOWN = ("recall@20", "recall@50", "ndcg@50")


class Log:
    """A TrainingObserver that writes a line an epoch to stderr."""

    def begin(self, title: str, step_count: int, done_count: int) -> None:
        """Nothing to say."""

    def advance(self) -> None:
        """Nothing to say."""

    def epoch(self, report: EpochReport) -> None:
        """One line."""
        found = report.validation.get("ndcg@50", float("nan"))
        sys.stderr.write(f"{report.phase} epoch {report.epoch}: loss {report.loss:.4f}, ndcg@50 {found:.4f}\n")


def main(arguments: list[str]) -> int:
    """Run the benchmark and return the exit code."""
    if not 3 <= len(arguments) <= 5:
        sys.stderr.write(__doc__ or "")
        return 2
    source, split_text, text = arguments[:3]
    seed, epochs = (int(given) for given in (*arguments[3:], *("1", "30")[len(arguments) - 3 :]))
    torch.set_num_threads(1)
    try:
        dataset, _ = open_dataset(source)
        split = parse_split(split_text)
        content, ranker = ContentConfig(text=text), RankerConfig(origin_count=0)
        config = TrainConfig(content=content, ranker=ranker, seed=seed, epochs=epochs)
        unseen_I = np.random.default_rng(seed).random(len(dataset.catalogue)) < UNSEEN_SHARE
        with TemporaryDirectory() as folder:
            release = release_without(dataset, unseen_I, split, config, Path(folder))
            compare(release, dataset, unseen_I, split, config)
    except UnbraidError as error:
        sys.stderr.write(f"error: {error.message}\n")
        return 2
    return 0


def release_without(dataset: Dataset, unseen_I: BoolArray, split: Split, config: TrainConfig, folder: Path) -> Release:
    """A release whose training saw the other items only, with the unseen ones added by their text."""
    checkpoint = train(dataset.with_items(~unseen_I), split, config, folder / "run", Log())
    now = datetime.now(UTC)
    export = export_checkpoint(checkpoint, folder / "export", now)
    store = ReleaseStore(folder / "releases")
    added = dataset.catalogue.take(np.flatnonzero(unseen_I))
    built = build_release(export, store, now, recall_target=0.99, new_items=added)
    return store.open(built.manifest.release_id)


def compare(release: Release, dataset: Dataset, unseen_I: BoolArray, split: Split, config: TrainConfig) -> None:
    """Print what the release and simpler orders find, among the new items and among all."""
    catalogue, pipeline = release.catalogue, load_model(release, Device.CPU).pipeline
    seen_I: BoolArray = np.ones(len(catalogue), np.bool_)
    seen_I[catalogue.rows(dataset.catalogue.take(np.flatnonzero(unseen_I)).item_ids)] = False
    cases = unseen_cases(Cases.of(split.apply(dataset), Task.NEW, catalogue, release.manifest.encoder.actions), seen_I)
    log_popularity_I = pipeline.log_popularity_I[:]
    floor_I = np.where(seen_I, log_popularity_I, log_popularity_I[seen_I].min()).astype(np.float32)
    at_floor = replace(pipeline, log_popularity_I=floor_I)
    rng = np.random.default_rng(config.seed)
    setting = Setting.of(cases, release.manifest.release_id, str(split), Profile.FORMULA, config.seed)
    for scope, blocked_I in (("the new items", seen_I), ("all items", np.zeros_like(seen_I))):
        systems = [
            Answers("text + neighbours' popularity", ask(pipeline, cases, blocked_I)),
            Answers("text", ask(at_floor, cases, blocked_I)),
            Answers("neighbours' popularity", order(cases, log_popularity_I, blocked_I)),
            Answers("random", shuffled(cases, blocked_I, rng)),
        ]
        sys.stdout.write(
            f"\n{len(cases)} users with {cases.target_count} targets among {(~seen_I).sum()} new items, ranked among "
            f"{scope} ({(~blocked_I).sum()}); item text {config.content.text}\n\n"
        )
        for judged in (0, 1):
            report = EvaluationReport.of(cases, setting, systems[judged], systems[judged + 1 :])
            write_table(report.system_rows())
            write_table(report.gain_rows())


def write_table(rows: list[list[str]]) -> None:
    """Some of the rows, as Markdown."""
    head, *body = rows
    chosen = [head, ["---"] * len(head), *(row for row in body if row[0] in SHOWN)]
    sys.stdout.write("".join(f"| {' | '.join(row)} |\n" for row in chosen) + "\n")


def unseen_cases(cases: Cases, seen_I: BoolArray) -> Cases:
    """The same users with targets among the unseen items only, and histories without any of them."""
    train = cases.train.select(seen_I[cases.train.row_E])
    targets = [target_T[~seen_I[target_T]] for target_T in cases.targets]
    known = [len(np.unique(train.history(int(user)).row_N)) for user in cases.user_H]
    kept = [h for h, target_T in enumerate(targets) if len(target_T) > 0 and known[h] >= MIN_TRAINING_ITEMS]
    return replace(
        cases,
        train=train,
        user_H=cases.user_H[kept],
        now_s_H=cases.now_s_H[kept],
        targets=[targets[h] for h in kept],
    )


def ask(pipeline: Pipeline, cases: Cases, blocked_I: BoolArray) -> IntArray:
    """What the serving pipeline recommends to every user, without the blocked items."""
    row_HR = np.full((len(cases), RANK_COUNT), -1, np.int64)
    for user in range(len(cases)):
        query = Query(
            cases.history(user), float(cases.now_s_H[user]), RANK_COUNT, excluded_row_X=np.flatnonzero(blocked_I)
        )
        (ranking,) = pipeline.recommend([query])
        row_HR[user, : len(ranking.row_R)] = ranking.row_R
    return row_HR


def order(cases: Cases, score_I: FloatArray, blocked_I: BoolArray) -> IntArray:
    """The best items by one score for everybody, without the blocked and the user's own."""
    row_N = np.argsort(-np.where(blocked_I, -np.inf, score_I), kind="stable")[: (~blocked_I).sum()]
    return np.stack([_unknown(row_N, cases, user) for user in range(len(cases))])


def shuffled(cases: Cases, blocked_I: BoolArray, rng: np.random.Generator) -> IntArray:
    """Another random order for every user."""
    row_N = np.flatnonzero(~blocked_I)
    return np.stack([_unknown(rng.permutation(row_N), cases, user) for user in range(len(cases))])


def _unknown(row_N: IntArray, cases: Cases, user: int) -> IntArray:
    best_R = row_N[~np.isin(row_N, cases.history(user).row_N)][:RANK_COUNT]
    return np.pad(best_R, (0, RANK_COUNT - len(best_R)), constant_values=-1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
