"""``unbraid inspect``: how a release takes histories apart, and how varied what it recommends is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from unbraid_cli.console import console, error_console, progress, rows_table
from unbraid_cli.options import RELEASES, RankingProfile, Releases, TrainingData, WhichRelease
from unbraid_cli.report_folder import write_reports
from unbraid_core.counted import counted

if TYPE_CHECKING:
    from unbraid_core.pipeline import Pipeline
    from unbraid_core.release import Release
    from unbraid_core.types import IntArray, Interests, Profile
    from unbraid_server.model import Model
    from unbraid_training.evaluation.cases import Cases
    from unbraid_training.evaluation.contrast import Contrast
    from unbraid_training.evaluation.inspection import Inspection

__all__ = ["inspect"]


def inspect(
    data: TrainingData,
    release_id: WhichRelease = None,
    releases: Releases = RELEASES,
    against: Annotated[
        str | None,
        typer.Option(help="Another release trained on the same data and split, such as one with a single interest."),
    ] = None,
    task: Annotated[
        Literal["new", "all"],
        typer.Option(help="Of the recommendations. new: items the user did not have. all: known items count too."),
    ] = "new",
    profile: RankingProfile = None,
    user: Annotated[list[str] | None, typer.Option("--user", help="Whose history to show; can be repeated.")] = None,
    examples: Annotated[int, typer.Option(min=1, max=20, help="How many users to draw where none is named.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of the examples and the bootstrap.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="Write the report into this folder, as JSON, Markdown and two SVG pictures.")
    ] = None,
) -> None:
    """Show what the interests of a release stand for, how separate they are, and single histories taken apart.

    Looks at the held-out users of the training's split. With --against, Recall@50, NDCG@50, coverage@50 and intra-list
    diversity next to another release, with 95% intervals, in spaces that neither of the two has made.
    """
    from unbraid_core.release import ReleaseStore
    from unbraid_core.types import Profile
    from unbraid_training.data.sources import open_dataset
    from unbraid_training.evaluation.admission import admit
    from unbraid_training.evaluation.cases import Cases, Task
    from unbraid_training.evaluation.dissection import draw_users, find_users
    from unbraid_training.evaluation.inspection import Inspection
    from unbraid_training.evaluation.report import Setting

    store = ReleaseStore(releases)
    release, manifest = store.open(release_id), store.manifest(release_id)
    rule, holdout = admit(manifest.training, open_dataset(data)[0], None)
    cases = Cases.of(holdout, Task(task), release.catalogue, manifest.encoder.actions)
    shown = draw_users(cases, examples, seed) if user is None else find_users(cases, user)
    twin = None if against is None else _open_twin(store.open(against), release)
    model = _load(release)
    chosen = model.profiles[0] if profile is None else Profile(profile)
    report = Inspection.of(
        Setting.of(cases, manifest.release_id, str(rule), chosen, seed),
        cases,
        model.pipeline,
        _interests(model.pipeline, cases),
        shown,
        twin=None if twin is None else twin.manifest.release_id,
        contrasts=[] if twin is None else _contrast([model.pipeline, _load(twin).pipeline], cases, chosen, seed),
    )
    _print(report)
    if out is not None:
        write_reports(_texts(report), out)


def _open_twin(twin: Release, release: Release) -> Release:
    from unbraid_core.errors import InvalidInput

    ours, theirs = release.manifest.training, twin.manifest.training
    if (ours.split, ours.data_sha256) != (theirs.split, theirs.data_sha256):
        raise InvalidInput(
            "--against",
            f"{twin.manifest.release_id} was trained with {theirs.split} on data {theirs.data_sha256[:12]}..., "
            f"{release.manifest.release_id} with {ours.split} on data {ours.data_sha256[:12]}...; train both alike",
        )
    return twin


def _load(release: Release) -> Model:
    from unbraid_server.device import Device
    from unbraid_server.model import load_model

    return load_model(release, Device.AUTO)


def _interests(pipeline: Pipeline, cases: Cases) -> list[Interests]:
    from unbraid_training.evaluation.inspection import interests_of_cases

    with progress() as shown:
        bar = shown.add_task("taking histories apart", total=len(cases))
        return interests_of_cases(pipeline, cases, lambda count: shown.advance(bar, count))


def _contrast(pipelines: Sequence[Pipeline], cases: Cases, profile: Profile, seed: int) -> list[Contrast]:
    from unbraid_training.evaluation.contrast import contrast
    from unbraid_training.evaluation.item_space import item_spaces

    titles = "asking the release", "asking the other"
    ours, theirs = (_rank(each, cases, profile, title) for each, title in zip(pipelines, titles, strict=True))
    with error_console.status("comparing"):
        return contrast(cases, [ours], [theirs], item_spaces(cases.train), seed)


def _rank(pipeline: Pipeline, cases: Cases, profile: Profile, title: str) -> IntArray:
    from unbraid_training.evaluation.system import rank_with_pipeline

    with progress() as shown:
        bar = shown.add_task(title, total=len(cases))
        return rank_with_pipeline(pipeline, cases, lambda count: shown.advance(bar, count), profile=profile)


def _print(report: Inspection) -> None:
    setting = report.setting
    console.print(
        f"release {setting.release_id}, split {setting.split}, task {setting.task}, profile {setting.profile}: "
        f"{counted(setting.user_count, 'user')}, {counted(report.disentanglement.event_count, 'event')}",
        markup=False,
    )
    tables = [report.profile_rows(), report.disentanglement.rows()]
    if report.twin is not None:
        tables.append(report.contrast_rows())
    for rows in tables:
        console.print()
        console.print(rows_table(rows))
    for example in report.examples:
        console.print()
        console.print(example.title(), style="bold", markup=False)
        console.print(rows_table(report.strand_rows(example)))


def _texts(report: Inspection) -> dict[str, str]:
    from unbraid_training.evaluation.inspection_plot import draw_histories, draw_interests

    return {
        "inspection.json": report.to_json(),
        "inspection.md": report.to_markdown(),
        "interests.svg": draw_interests(report),
        "histories.svg": draw_histories(report),
    }
