"""``unbraid index``: build the index over an export or a release, and publish the result as a release."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unbraid_cli.console import console, facts_table, step_progress
from unbraid_cli.options import RELEASES, Releases

if TYPE_CHECKING:
    from rich.table import Table

    from unbraid_core.catalogue import Catalogue
    from unbraid_core.release import Probe, ReleaseStore
    from unbraid_index.new_items import Addition
    from unbraid_index.release_build import IndexedRelease

__all__ = ["app", "build_and_measure"]

DEFAULT_RECALL = 0.99

app = typer.Typer(help="Build the index of a release.", no_args_is_help=True)

Recall = Annotated[
    float, typer.Option("--recall", help="Share of the 200 exact nearest items to find, on queries that tuned nothing.")
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
    activate: Activate = False,
) -> None:
    """Build the index over an export and publish both as a release.

    Up to 50,000 items the index is exhaustive, above it is an IVF tuned to the recall. Set OMP_NUM_THREADS to use more
    than one core.
    """
    from unbraid_core.release import ReleaseStore

    store = ReleaseStore(releases)
    from unbraid_server.trial import try_release

    _finish(store, build_and_measure(export_dir, store, recall, items), activate, try_release)


def build_and_measure(
    export_dir: Path, store: ReleaseStore, recall: float = DEFAULT_RECALL, items: Path | None = None
) -> str:
    """Make a release of an export, print what its index is like, and return the release_id."""
    from unbraid_index.release_build import build_release

    new_items = _read_items(items)
    with step_progress() as on_progress:
        indexed = build_release(export_dir, store, datetime.now(UTC), recall, on_progress, new_items)
    console.print(_summary(indexed))
    return indexed.manifest.release_id


@app.command()
def rebuild(
    release: Annotated[str | None, typer.Option("--release", help="Which release; the active one by default.")] = None,
    releases: Releases = RELEASES,
    queries: Annotated[
        Path | None,
        typer.Option("--queries", help="A .npy file of held-out interests, float32 [Q, D], to measure the recall on."),
    ] = None,
    items: NewItems = None,
    recall: Recall = DEFAULT_RECALL,
    activate: Activate = False,
) -> None:
    """Build the index of a release anew, try it in a process of its own, and publish the result as its child.

    A release holds no user data, so without --queries the recall is measured on item vectors. With --items the new
    release can recommend items that came up after the training, if that read the items' text.
    """
    from unbraid_core.release import ReleaseStore
    from unbraid_index.release_build import rebuild_release
    from unbraid_server.trial import try_release

    store = ReleaseStore(releases)
    new_items = _read_items(items)
    with step_progress() as on_progress:
        indexed = rebuild_release(
            store, release, queries, datetime.now(UTC), recall, on_progress, new_items, try_release
        )
    console.print(_summary(indexed))
    _finish(store, indexed.manifest.release_id, activate)


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


def _summary(indexed: IndexedRelease) -> Table:
    report = indexed.report
    params = "".join(f", {name} {value}" for name, value in report.spec.search_params.items())
    return facts_table(
        {
            "release": indexed.manifest.release_id,
            "parent": indexed.manifest.parent or "none",
            **_added(indexed.addition),
            "index": f"{report.spec.family}{params}, {report.item_count:,} items",
            "why": report.reason,
            f"recall@{report.spec.recall_at}": f"{report.spec.recall:.4f} on {report.spec.query_source}",
            "search": f"{report.p50_ms:.3f} ms for {report.queries_per_call} interests (median)",
            "size": f"{report.file_size_bytes / 1e6:.1f} MB",
        }
    )


def _added(addition: Addition | None) -> dict[str, str]:
    if addition is None:
        return {}
    without = f", {addition.wordless_count:,} without a known word" if addition.wordless_count else ""
    return {"new items": f"{addition.added_count:,} added{without}; {addition.known_count:,} were there before"}
