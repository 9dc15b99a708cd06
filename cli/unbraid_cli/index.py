"""``unbraid index``: build the index over an export or a release, and publish the result as a release."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unbraid_cli.change_watch import watch
from unbraid_cli.console import console, step_progress
from unbraid_cli.index_tables import built_table, families_table, tuned_table, untried_line
from unbraid_cli.options import RELEASES, CatalogueFile, OfServer, Releases
from unbraid_cli.served_releases import rebuild_on_server, refuse_options

if TYPE_CHECKING:
    from unbraid_core.catalogue import Catalogue
    from unbraid_core.release import Probe, ReleaseStore
    from unbraid_index.release_build import IndexedRelease
    from unbraid_index.report import IndexReport

__all__ = ["app", "build_and_measure"]

DEFAULT_RECALL = 0.99

app = typer.Typer(help="Build the index of a release.", no_args_is_help=True)

Recall = Annotated[
    float,
    typer.Option(
        "--recall",
        help="Share to find of what exact search brings a user: the 95% lower bound, with users that tuned nothing.",
    ),
]
MemoryBudget = Annotated[
    int | None, typer.Option("--memory-budget", help="MB that the index may take beside the item vectors.")
]
ReleaseId = Annotated[str | None, typer.Option("--release", help="Which release; the active one by default.")]
Queries = Annotated[
    Path | None,
    typer.Option(
        "--queries", help="The queries.npy of an export, or another file of interests, to measure the recall with."
    ),
]
NewItems = Annotated[
    Path | None,
    typer.Option(
        "--items", help="Add the items of this file that training did not see (.csv, .csv.gz, .parquet), by their text."
    ),
]
Activate = Annotated[bool, typer.Option("--activate", help="Make it the active release.")]


@app.command()
def build(
    export_dir: Annotated[Path, typer.Argument(metavar="EXPORT_DIR", help="The folder that unbraid export wrote.")],
    releases: Releases = RELEASES,
    items: NewItems = None,
    recall: Recall = DEFAULT_RECALL,
    memory_budget: MemoryBudget = None,
    activate: Activate = False,
) -> None:
    """Build the index over an export and publish both as a release.

    Several kinds of index are made and tuned to the recall, and the one that searches fastest is kept. Set
    OMP_NUM_THREADS to use more than one core.
    """
    from unbraid_core.release import ReleaseStore
    from unbraid_server.trial import try_release

    store = ReleaseStore(releases)
    _finish(store, build_and_measure(export_dir, store, recall, items, memory_budget), activate, try_release)


def build_and_measure(
    export_dir: Path,
    store: ReleaseStore,
    recall: float = DEFAULT_RECALL,
    items: Path | None = None,
    memory_budget_mb: int | None = None,
) -> str:
    """Make a release of an export, print what its index is like, and return the release_id."""
    from unbraid_index.release_build import build_release

    new_items = _read_items(items)
    with step_progress() as on_progress:
        indexed = build_release(export_dir, store, datetime.now(UTC), recall, on_progress, new_items, memory_budget_mb)
    _show(indexed)
    return indexed.manifest.release_id


@app.command()
def rebuild(
    context: typer.Context,
    release: ReleaseId = None,
    releases: Releases = RELEASES,
    queries: Queries = None,
    items: NewItems = None,
    catalogue: CatalogueFile = None,
    recall: Recall = DEFAULT_RECALL,
    memory_budget: MemoryBudget = None,
    activate: Activate = False,
    watch_changes: Annotated[
        int | None,
        typer.Option(
            "--watch-changes",
            metavar="N",
            min=1,
            help="Go on until Ctrl-C: rebuild and activate whenever so many changes have come up since.",
        ),
    ] = None,
    server: OfServer = None,
) -> None:
    """Build the index of a release anew, try it in a process of its own, and publish the result as its child.

    The changes of the live catalogue since are folded in. A release holds no user data, so without --queries the recall
    is measured on item vectors. With --items the new release can recommend items that came up after the training, if
    that read the items' text. A server of --server does the same by itself.
    """
    if server is not None:
        refuse_options(context, {"release", "recall", "activate"})
        rebuild_on_server(server, release, recall, activate=activate)
        return
    from unbraid_core.release import ReleaseStore
    from unbraid_index.release_build import rebuild_release
    from unbraid_server.settings import CATALOGUE_FILE
    from unbraid_server.sqlite_catalogue import stored_changes
    from unbraid_server.trial import try_release

    store = ReleaseStore(releases)
    new_items = _read_items(items)

    def rebuild_once(*, activate: bool) -> None:
        """Fold in what has changed by now."""
        with stored_changes(changes_file) as changes, step_progress() as on_progress:
            indexed = rebuild_release(
                store,
                release,
                queries,
                datetime.now(UTC),
                recall,
                on_progress,
                new_items,
                try_release,
                changes,
                memory_budget_mb=memory_budget,
            )
        _show(indexed)
        _finish(store, indexed.manifest.release_id, activate)

    changes_file = catalogue or releases / CATALOGUE_FILE
    if watch_changes is None:
        rebuild_once(activate=activate)
    else:
        watch(store, changes_file, watch_changes, lambda: rebuild_once(activate=True))


@app.command()
def tune(
    release: ReleaseId = None,
    releases: Releases = RELEASES,
    queries: Queries = None,
    recall: Recall = DEFAULT_RECALL,
    activate: Activate = False,
) -> None:
    """Find the search parameters of a release anew and publish the result as its child.

    The index stays as it is, so this takes seconds. Without --queries the recall is measured on item vectors.
    """
    from unbraid_core.release import ReleaseStore
    from unbraid_index.build import IndexSettings
    from unbraid_index.release_tuning import tune_release
    from unbraid_server.trial import try_release

    store = ReleaseStore(releases)
    with step_progress() as on_progress:
        tuned = tune_release(store, release, queries, datetime.now(UTC), IndexSettings(recall), on_progress)
    console.print(tuned_table(tuned))
    _finish(store, tuned.manifest.release_id, activate, try_release)


@app.command()
def bench(
    export_dir: Annotated[
        Path | None, typer.Argument(metavar="EXPORT_DIR", help="An export; without one, a release is measured.")
    ] = None,
    release: ReleaseId = None,
    releases: Releases = RELEASES,
    queries: Queries = None,
    recall: Recall = DEFAULT_RECALL,
    memory_budget: MemoryBudget = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Write recall over latency of all trials to this SVG file.")
    ] = None,
) -> None:
    """Make and tune every kind of index over the item vectors, now and here, and print how each did.

    Nothing is published. An export is measured with its own held-out users, a release with --queries or its items.
    """
    from unbraid_core.release import ReleaseStore, open_export
    from unbraid_index.build import IndexSettings
    from unbraid_index.plot import trials_svg
    from unbraid_index.queries import given_queries, held_out_queries
    from unbraid_index.release_tuning import bench_index

    settings = IndexSettings(recall, memory_budget)
    with step_progress() as on_progress:
        if export_dir is not None:
            export = open_export(export_dir)
            report = bench_index(export, held_out_queries(export, settings.seed), settings, on_progress)
        else:
            opened = ReleaseStore(releases).open(release)
            report = bench_index(opened, given_queries(opened, queries, settings.seed), settings, on_progress)
    _show_families(report)
    if plot is not None:
        plot.write_text(trials_svg(report))
        console.print(f"wrote {plot}", markup=False, soft_wrap=True)


def _show(indexed: IndexedRelease) -> None:
    _show_families(indexed.report)
    console.print(built_table(indexed))


def _show_families(report: IndexReport) -> None:
    console.print(families_table(report))
    console.print(untried_line(report), markup=False, soft_wrap=True)


def _finish(store: ReleaseStore, release_id: str, activate: bool, probe: Probe | None = None) -> None:
    """Activate the release if that was asked for, and print the command to go on with."""
    if activate:
        store.activate(release_id, datetime.now(UTC), probe)
    following = "serve" if activate else f"release activate {release_id}"
    console.print(f"next: unbraid {following} --releases {store.root}", markup=False, soft_wrap=True)


def _read_items(path: Path | None) -> Catalogue | None:
    """The items of a file, with a word on those of its rows that cannot be used."""
    from unbraid_training.data.items import read_items
    from unbraid_training.data.report import ReadReport

    if path is None:
        return None
    catalogue, report = read_items(path)
    for line in ReadReport((report,)).lines():
        console.print(line, markup=False, soft_wrap=True)
    return catalogue
