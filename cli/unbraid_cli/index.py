"""``unbraid index``: build the index over an export or a release, and publish the result as a release."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from unbraid_cli.console import console, progress
from unbraid_cli.options import RELEASES, Releases

if TYPE_CHECKING:
    from unbraid_core.release import ReleaseStore
    from unbraid_index.progress import OnProgress
    from unbraid_index.release_build import IndexedRelease

__all__ = ["app"]

app = typer.Typer(help="Build the index of a release.", no_args_is_help=True)

Recall = Annotated[
    float, typer.Option("--recall", help="Share of the 200 exact nearest items to find, on queries that tuned nothing.")
]
Activate = Annotated[bool, typer.Option("--activate", help="Make it the active release.")]


@app.command()
def build(
    export_dir: Annotated[Path, typer.Argument(help="The folder that unbraid export wrote.")],
    releases: Releases = RELEASES,
    recall: Recall = 0.99,
    activate: Activate = False,
) -> None:
    """Build the index over an export and publish both as a release.

    Up to 50,000 items the index is exhaustive, above it is an IVF tuned to the recall. Set OMP_NUM_THREADS to use more
    than one core.
    """
    from unbraid_core.release import ReleaseStore
    from unbraid_index.release_build import build_release

    store = ReleaseStore(releases)
    with _watched() as on_progress:
        indexed = build_release(export_dir, store, datetime.now(UTC), recall, on_progress)
    _finish(store, indexed, activate)


@app.command()
def rebuild(
    release: Annotated[str | None, typer.Option("--release", help="Which release; the active one by default.")] = None,
    releases: Releases = RELEASES,
    queries: Annotated[
        Path | None,
        typer.Option("--queries", help="A .npy file of held-out interests, float32 [Q, D], to measure the recall on."),
    ] = None,
    recall: Recall = 0.99,
    activate: Activate = False,
) -> None:
    """Build the index of a release anew and publish the result as its child.

    A release holds no user data, so without --queries the recall is measured on item vectors.
    """
    from unbraid_core.release import ReleaseStore
    from unbraid_index.release_build import rebuild_release

    store = ReleaseStore(releases)
    with _watched() as on_progress:
        indexed = rebuild_release(store, release, queries, datetime.now(UTC), recall, on_progress)
    _finish(store, indexed, activate)


@contextmanager
def _watched() -> Iterator[OnProgress]:
    """Show one progress bar for each step."""
    with progress() as shown:
        tasks = {}

        def on_progress(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = shown.add_task(step, note="")
            shown.update(tasks[step], completed=done, total=total)

        yield on_progress


def _finish(store: ReleaseStore, indexed: IndexedRelease, activate: bool) -> None:
    """Print what was built and the command to go on with."""
    release_id = indexed.manifest.release_id
    console.print(_summary(indexed))
    if activate:
        from unbraid_cli.trial import try_release

        store.activate(release_id, datetime.now(UTC), try_release)
    following = "serve" if activate else f"release activate {release_id}"
    console.print(f"next: unbraid {following} --releases {store.root}", markup=False, soft_wrap=True)


def _summary(indexed: IndexedRelease) -> Table:
    report = indexed.report
    params = "".join(f", {name} {value}" for name, value in report.spec.search_params.items())
    table = Table(show_header=False, box=None)
    table.add_row("release", indexed.manifest.release_id)
    table.add_row("parent", indexed.manifest.parent or "none")
    table.add_row("index", f"{report.spec.family}{params}, {report.item_count} items")
    table.add_row("why", report.reason)
    table.add_row(f"recall@{report.spec.recall_at}", f"{report.spec.recall:.4f} on {report.spec.query_source}")
    table.add_row("p50", f"{report.p50_ms:.3f} ms for {report.queries_per_call} interests")
    table.add_row("size", f"{report.file_size_bytes / 1e6:.1f} MB")
    return table
