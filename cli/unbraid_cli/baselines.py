"""``unbraid baselines``: what simple, well-tuned methods reach on the same data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from unbraid_cli.console import console, error_console, rows_table, step_progress
from unbraid_core.counted import counted

if TYPE_CHECKING:
    from unbraid_training.baselines.report import BaselinesReport

__all__ = ["baselines"]


def baselines(
    data: Annotated[Path, typer.Option("--data", help="Folder with events and items: see unbraid data check.")],
    split: Annotated[
        str,
        typer.Option(
            help="What is held out for the test: last-10 (of each user), before-DATE or before-DATE-until-DATE (DATE "
            "as 2011-11-01)."
        ),
    ],
    task: Annotated[
        Literal["new", "all"], typer.Option(help="new: find items the user did not have. all: known items count too.")
    ] = "new",
    methods: Annotated[
        str | None,
        typer.Option(
            help="Names separated by commas, such as popularity,ials+pop,ease-decay+own+pop; all by default, in task "
            "new all without own frequency."
        ),
    ] = None,
    validation: Annotated[
        str | None,
        typer.Option(
            help="The split of the training events that chooses the settings. By default one like that of the test."
        ),
    ] = None,
    origins: Annotated[
        int,
        typer.Option(min=1, help="Validate this many times, each in the window before the last; the mean chooses."),
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the order of ties, iALS, networks and the bootstrap.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the comparison into this folder, as JSON, Markdown and SVG, and the metrics of every user as "
            "Parquet."
        ),
    ] = None,
) -> None:
    """Tune simple methods on a validation window, fit them again and score them once on the test.

    Popularity, item and user neighbours, EASE, iALS, the user's own frequency and sequence networks with one vector,
    with and without decay and log popularity (+pop), by full ranking and with 95% bootstrap intervals over users.
    Settings are chosen by NDCG@50. The bar is the method that is best on validation; the others are compared with it.
    """
    import torch

    from unbraid_training.baselines.comparison import Contest, compare
    from unbraid_training.baselines.methods import choose_names
    from unbraid_training.baselines.report import BaselinesReport
    from unbraid_training.data.sources import open_dataset
    from unbraid_training.data.splits import parse_split
    from unbraid_training.evaluation.cases import Task
    from unbraid_training.evaluation.scorecard_file import write_scorecards

    names = choose_names(methods, Task(task))
    rule = parse_split(split)
    inner = None if validation is None else parse_split(validation)
    holdout = rule.apply(open_dataset(data)[0])
    contest = Contest(holdout, inner or rule.inner(holdout.train), Task(task), seed, origins)
    torch.set_num_threads(1)
    with step_progress() as on_progress:
        contenders = compare(contest, names, on_progress)
    cases = contest.cases()
    cards = [contender.scorecard(cases) for contender in contenders]
    with error_console.status("bootstrap"):
        report = BaselinesReport.of(contest, str(rule), contenders, cards)
    _print(report)
    if out is not None:
        _write(report, out, lambda path: write_scorecards(path, cases, report.split, report.bar, cards))


def _print(report: BaselinesReport) -> None:
    console.print(
        f"split {report.split}, task {report.task}: {counted(report.user_count, 'user')}, "
        f"{counted(report.target_count, 'target')} among {counted(report.item_count, 'item')}",
        markup=False,
    )
    console.print(report.choice_text(), markup=False)
    console.print()
    console.print(rows_table(report.result_rows()))
    console.print()
    console.print(rows_table(report.setting_rows()))


def _write(report: BaselinesReport, folder: Path, write_users: Callable[[Path], None]) -> None:
    from unbraid_core.errors import InvalidInput
    from unbraid_training.baselines.plot import draw

    texts = {"json": report.to_json(), "md": report.to_markdown(), "svg": draw(report)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stem = folder / f"baselines-{report.task}"
        for ending, text in texts.items():
            stem.with_suffix(f".{ending}").write_text(text, encoding="utf-8")
        write_users(stem.with_suffix(".parquet"))
        error_console.print(f"wrote {stem}.json, .md, .svg and .parquet", markup=False, soft_wrap=True)
    except OSError as error:
        raise InvalidInput("--out", f"cannot write {folder}: {error.strerror}; name another folder") from None
