"""``unbraid release``: see what releases there are, check them, and choose the active one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unbraid_cli.console import console
from unbraid_cli.options import RELEASES, CatalogueFile, OfServer, PublicKey, Releases
from unbraid_cli.release_list import megabytes, print_as_json, print_releases
from unbraid_cli.served_releases import (
    activate_on_server,
    list_of_server,
    print_activation,
    refuse_options,
    roll_back_server,
)
from unbraid_core.counted import counted

if TYPE_CHECKING:
    from unbraid_core.release import ReleaseStore

__all__ = ["activate_in_folder", "app"]

app = typer.Typer(help="List, check and activate releases.", no_args_is_help=True)

ReleaseId = Annotated[str, typer.Argument(metavar="ID", help="Which release.")]
ReleaseIdOrActive = Annotated[
    str | None, typer.Argument(metavar="ID", help="Which release; the active one by default.", show_default=False)
]


@app.command("list")
def list_releases(
    context: typer.Context,
    releases: Releases = RELEASES,
    server: OfServer = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
) -> None:
    """List all releases, newest first. Files are not hashed: see verify."""
    if server is not None:
        refuse_options(context, {"as_json"})
        list_of_server(server, as_json=as_json)
        return
    from unbraid_core.release import ReleaseStore

    summaries = ReleaseStore(releases).list()
    if as_json:
        print_as_json(summaries)
    elif summaries:
        print_releases(summaries)
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
        f"{release.manifest.release_id} is intact: {counted(len(files), 'file')}, "
        f"{megabytes(sum(file.size for file in files))}, {counted(len(release.catalogue), 'item')}",
        soft_wrap=True,
    )


@app.command()
def activate(
    context: typer.Context,
    release_id: ReleaseId,
    releases: Releases = RELEASES,
    public_key: PublicKey = None,
    server: OfServer = None,
) -> None:
    """Make a release the active one, after it was verified and answered queries in a process of its own."""
    if server is not None:
        refuse_options(context, {"release_id"})
        activate_on_server(server, release_id)
    else:
        activate_in_folder(release_id, releases, public_key)


def activate_in_folder(release_id: str, releases: Path, public_key: Path | None = None) -> None:
    """Try a release of a folder of this machine, make it the active one, and print which one was before."""
    from unbraid_server.trial import try_release

    store = _store(releases, public_key)
    before = store.current_id()
    store.activate(release_id, datetime.now(UTC), try_release)
    print_activation(release_id, before)


@app.command()
def rollback(
    context: typer.Context, releases: Releases = RELEASES, public_key: PublicKey = None, server: OfServer = None
) -> None:
    """Activate the release that was active before the current one; again, the one before that."""
    if server is not None:
        refuse_options(context, ())
        roll_back_server(server)
        return
    from unbraid_server.trial import try_release

    store = _store(releases, public_key)
    before = store.current_id()
    print_activation(store.rollback(datetime.now(UTC), try_release), before)


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
    console.print(f"freed up to {megabytes(freed)}; files that other releases share stay", soft_wrap=True)
    with stored_changes(catalogue or releases / CATALOGUE_FILE) as changes:
        if changes is not None:
            console.print(f"forgot {counted(changes.prune(folded_sequence(store)), 'change')} of the catalogue")


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
