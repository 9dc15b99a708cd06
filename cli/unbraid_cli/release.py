"""``unbraid release``: see what releases there are, check them, and choose the active one."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from unbraid_cli.console import console
from unbraid_cli.options import RELEASES, CatalogueFile, PublicKey, Releases

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbraid_core.release import ReleaseStore, ReleaseSummary

__all__ = ["app"]

app = typer.Typer(help="List, check and activate releases.", no_args_is_help=True)

ReleaseId = Annotated[str, typer.Argument(metavar="ID", help="Which release.")]
ReleaseIdOrActive = Annotated[
    str | None, typer.Argument(metavar="ID", help="Which release; the active one by default.", show_default=False)
]


@app.command("list")
def list_releases(
    releases: Releases = RELEASES,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List all releases, newest first. Files are not hashed: see verify."""
    from unbraid_core.release import ReleaseStore

    summaries = ReleaseStore(releases).list()
    if as_json:
        console.print_json(json.dumps([_plain(summary) for summary in summaries]))
    elif summaries:
        console.print(_table(summaries))
    else:
        console.print(f"no releases in {releases}; make one with: unbraid index build EXPORT", markup=False)


@app.command()
def show(release_id: ReleaseIdOrActive = None, releases: Releases = RELEASES) -> None:
    """Print the manifest of a release as JSON."""
    from unbraid_core.release import ReleaseStore

    console.print_json(ReleaseStore(releases).manifest(release_id).model_dump_json())


@app.command()
def verify(release_id: ReleaseIdOrActive = None, releases: Releases = RELEASES, public_key: PublicKey = None) -> None:
    """Check that every file of a release is there, that it is unchanged, and that there is no other."""
    release = _store(releases, public_key).open(release_id)
    files = release.manifest.files.values()
    console.print(
        f"{release.manifest.release_id} is intact: {len(files)} files, {_megabytes(sum(file.size for file in files))}, "
        f"{len(release.catalogue)} items",
        soft_wrap=True,
    )


@app.command()
def activate(release_id: ReleaseId, releases: Releases = RELEASES, public_key: PublicKey = None) -> None:
    """Make a release the active one, after it was verified and answered queries in a process of its own."""
    from unbraid_server.trial import try_release

    store = _store(releases, public_key)
    before = store.current_id()
    store.activate(release_id, datetime.now(UTC), try_release)
    _print_change(release_id, before)


@app.command()
def rollback(releases: Releases = RELEASES, public_key: PublicKey = None) -> None:
    """Activate the release that was active before the current one; again, the one before that."""
    from unbraid_server.trial import try_release

    store = _store(releases, public_key)
    before = store.current_id()
    _print_change(store.rollback(datetime.now(UTC), try_release), before)


@app.command()
def gc(
    releases: Releases = RELEASES,
    keep: Annotated[int, typer.Option("--keep", min=0, help="How many of the newest releases stay in any case.")] = 3,
    catalogue: CatalogueFile = None,
) -> None:
    """Remove releases that nobody needs: not among the newest, not active, not what a rollback goes to, not in use.

    Changes of the live catalogue that all other releases have folded in are forgotten, too.
    """
    from unbraid_core.release import ReleaseStore, collect_releases, folded_sequence
    from unbraid_server.settings import CATALOGUE_FILE
    from unbraid_server.sqlite_catalogue import stored_changes

    store = ReleaseStore(releases)
    verdicts = collect_releases(store, keep)
    for verdict in verdicts:
        fate = f"kept: {verdict.kept_because}" if verdict.kept_because else "removed"
        console.print(f"{verdict.summary.release_id}  {fate}", markup=False, soft_wrap=True)
    freed = sum(verdict.summary.size_bytes for verdict in verdicts if verdict.kept_because is None)
    console.print(f"freed up to {_megabytes(freed)}; files that other releases share stay", soft_wrap=True)
    with stored_changes(catalogue or releases / CATALOGUE_FILE) as changes:
        if changes is not None:
            console.print(f"forgot {changes.prune(folded_sequence(store)):,} changes of the catalogue")


@app.command()
def keygen(
    key: Annotated[Path, typer.Argument(metavar="KEY", help="File for the private key; the public one gets .pub.")],
) -> None:
    """Make a pair of ed25519 keys: one to sign releases with, and one for servers that shall trust no others."""
    from unbraid_server.signing import write_key_pair

    public = key.with_name(f"{key.name}.pub")
    write_key_pair(key, public)
    console.print(
        f"keep {key} secret; give {public} to servers: unbraid serve --public-key {public}",
        markup=False,
        soft_wrap=True,
    )


@app.command()
def sign(
    release_id: ReleaseIdOrActive = None,
    key: Annotated[Path, typer.Option("--key", help="File with the private key, as keygen made it.")] = Path("key"),
    releases: Releases = RELEASES,
) -> None:
    """Verify a release and sign it."""
    from unbraid_core.release import ReleaseStore
    from unbraid_server.signing import sign_release

    release = ReleaseStore(releases).open(release_id)
    sign_release(release.folder, key)
    console.print(f"{release.manifest.release_id} is signed", soft_wrap=True)


def _store(releases: Path, public_key: Path | None) -> ReleaseStore:
    from unbraid_core.release import ReleaseStore
    from unbraid_server.signing import signature_check

    return ReleaseStore(releases, signature_check(public_key))


def _print_change(now: str, before: str | None) -> None:
    console.print(f"active release: {now} (before: {before or 'none'})", soft_wrap=True)


def _plain(summary: ReleaseSummary) -> dict[str, object]:
    created_time = summary.created_time.isoformat() if summary.created_time else None
    return asdict(summary) | {"created_time": created_time}


def _table(summaries: Sequence[ReleaseSummary]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("active")
    table.add_column("release", no_wrap=True)
    table.add_column("created (UTC)", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("state", overflow="fold")
    for summary in summaries:
        created_time = f"{summary.created_time:%Y-%m-%d %H:%M}" if summary.created_time else "unknown"
        state = escape(summary.problem or "ok")
        active = "*" if summary.active else ""
        table.add_row(active, escape(summary.release_id), created_time, _megabytes(summary.size_bytes), state)
    return table


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"
