"""``unbraid evaluate``: what a release finds of what people did next, next to the popularity baselines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from unbraid_cli.console import console, error_console, progress, rows_table
from unbraid_cli.options import RELEASES, RankingProfile, Releases, TrainingData, WhichRelease
from unbraid_core.counted import counted

if TYPE_CHECKING:
    from unbraid_core.release import Release
    from unbraid_core.types import Profile
    from unbraid_server.model import Model
    from unbraid_training.evaluation.cases import Cases
    from unbraid_training.evaluation.report import Answers, EvaluationReport

__all__ = ["evaluate"]

SYSTEM, POPULARITY, DECAYED = "unbraid", "popularity", "decayed popularity"


def evaluate(
    data: TrainingData,
    release_id: WhichRelease = None,
    releases: Releases = RELEASES,
    split: Annotated[
        str | None,
        typer.Option(
            help="What is held out: last-10 (of each user), before-DATE, before-DATE-until-DATE (DATE as 2011-11-01). "
            "By default the split of the training; another one only if the release cannot have seen its events."
        ),
    ] = None,
    task: Annotated[
        Literal["new", "all"], typer.Option(help="new: find items the user did not have. all: known items count too.")
    ] = "new",
    profile: RankingProfile = None,
    users: Annotated[int | None, typer.Option(min=1, help="Evaluate a random sample of this many users.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample, the bootstrap, and the order of ties.")] = 1,
    run_out: Annotated[
        Path | None, typer.Option(help="Write the recommendations as a TREC run, and the targets to FILE.qrels.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            help="Compare with the bar of unbraid baselines, user by user: the baselines-TASK.parquet that it wrote."
        ),
    ] = None,
    as_json: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")] = None,
) -> None:
    """Score the serving pipeline of a release on held-out events, by full ranking and with confidence intervals.

    Recall, hit rate and NDCG at 20 and 50 with 95% bootstrap intervals over users, and the gain over popularity and
    over decayed popularity, whose half-life is chosen on a validation split inside the training events; with --against
    also over the strongest of the baselines.
    """
    from unbraid_core.release import ReleaseStore
    from unbraid_training.evaluation.run_file import qrels_text, run_text

    release = ReleaseStore(releases).open(release_id)
    cases, judged, report = _judge(release, data, split, task, profile, users, seed, against)
    _print(report)
    if run_out is not None:
        _write(run_out, run_text(cases, judged.row_HR, report.setting.release_id), "--run-out")
        _write(run_out.with_name(f"{run_out.name}.qrels"), qrels_text(cases), "--run-out")
    if as_json is not None:
        _write(as_json, report.to_json(), "--json")


def _judge(
    release: Release,
    data: Path,
    split: str | None,
    task_name: str,
    profile_name: str | None,
    users: int | None,
    seed: int,
    against: Path | None,
) -> tuple[Cases, Answers, EvaluationReport]:
    """Ask the release and the baselines; the cases, the answers of the release, and how good all are."""
    from unbraid_core.types import Profile
    from unbraid_server.device import Device
    from unbraid_server.model import load_model
    from unbraid_training.data.sources import open_dataset
    from unbraid_training.evaluation.admission import admit
    from unbraid_training.evaluation.cases import Cases, Task
    from unbraid_training.evaluation.report import EvaluationReport, Setting
    from unbraid_training.evaluation.scorecard_file import read_bar

    manifest, task = release.manifest, Task(task_name)
    dataset, _ = open_dataset(data)
    rule, holdout = admit(manifest.training, dataset, split)
    every = Cases.of(holdout, task, release.catalogue, manifest.encoder.actions)
    cases = every if users is None else every.sample(users, seed)
    bars = [] if against is None else [read_bar(against, cases, str(rule))]
    validation = Cases.of(rule.inner(holdout.train).apply(holdout.train), task)
    model = load_model(release, Device.AUTO)
    profile = model.profiles[0] if profile_name is None else Profile(profile_name)
    judged = _recommend(model, cases, profile)
    baselines = _popularity(cases, validation, seed)
    setting = Setting.of(cases, manifest.release_id, str(rule), profile, seed)
    return cases, judged, EvaluationReport.of(cases, setting, judged, baselines, bars)


def _recommend(model: Model, cases: Cases, profile: Profile) -> Answers:
    from unbraid_training.evaluation.probabilities import ProbabilityQuality
    from unbraid_training.evaluation.report import Answers
    from unbraid_training.evaluation.system import ask_pipeline, recommended_pairs, recommended_rows

    with progress() as shown:
        bar = shown.add_task("asking for every user", total=len(cases))
        rankings = ask_pipeline(model.pipeline, cases, profile, lambda count: shown.advance(bar, count))
    pairs = recommended_pairs(rankings, cases)
    quality = None if pairs.probability_N is None else ProbabilityQuality.of(pairs.probability_N, pairs.taken_N)
    return Answers(SYSTEM, recommended_rows(rankings), probabilities=quality)


def _popularity(cases: Cases, validation: Cases, seed: int) -> list[Answers]:
    from unbraid_training.evaluation.popularity import Popularity, choose_half_life
    from unbraid_training.evaluation.report import Answers

    with error_console.status("popularity baselines"):
        half_life_s = choose_half_life(validation, seed)
        return [
            Answers(POPULARITY, Popularity(None, seed).rank(cases)),
            Answers(DECAYED, Popularity(half_life_s, seed).rank(cases), half_life_s),
        ]


def _print(report: EvaluationReport) -> None:
    setting = report.setting
    console.print(
        f"release {setting.release_id}, split {setting.split}, task {setting.task}, profile {setting.profile}: "
        f"{counted(setting.user_count, 'user')}, "
        f"{counted(setting.target_count, 'target')} among {counted(setting.item_count, 'item')}",
        markup=False,
    )
    if setting.outside_count:
        outside = counted(setting.outside_count, "held-out item is", "held-out items are")
        console.print(f"{outside} outside the catalogue and not counted")
    for result in report.systems:
        if result.half_life_s is not None:
            console.print(f"{result.system}: half-life {result.half_life_s / 86_400:g} d, chosen on validation")
    console.print()
    console.print(rows_table(report.system_rows()))
    console.print()
    console.print(rows_table(report.gain_rows()))
    if report.probabilities is not None:
        quality = report.probabilities
        console.print()
        console.print(rows_table(report.threshold_rows()))
        console.print(
            f"probabilities of {quality.pair_count:,} recommended items: expected calibration error "
            f"{quality.calibration_error:.4f}, Brier score {quality.brier:.4f}, AUC {quality.auc:.3f}, "
            f"accuracy {quality.accuracy:.3f}",
            soft_wrap=True,
        )


def _write(path: Path, text: str, option: str) -> None:
    from unbraid_core.errors import InvalidInput

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(option, f"cannot write {path}: {error.strerror}; name a file that can be written") from None
    error_console.print(f"wrote {path}", markup=False, soft_wrap=True)
