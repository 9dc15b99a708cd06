"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "RELEASES",
    "STATE",
    "CatalogueFile",
    "Json",
    "OfServer",
    "PublicKey",
    "RankingProfile",
    "Releases",
    "Server",
    "State",
    "TrainingData",
    "WhichRelease",
]

RELEASES = Path("releases")
STATE = Path("state.db")

Releases = Annotated[Path, typer.Option("--releases", envvar="UNBRAID_RELEASES", help="The folder of releases.")]
State = Annotated[
    Path, typer.Option("--state", envvar="UNBRAID_STATE", help="The SQLite file with the histories of users.")
]
PublicKey = Annotated[
    Path | None,
    typer.Option(
        "--public-key",
        envvar="UNBRAID_PUBLIC_KEY",
        help="Refuse releases that are not signed with this key.",
    ),
]
TrainingData = Annotated[
    Path, typer.Option("--data", help="The folder of events and items that the model learnt from.")
]
WhichRelease = Annotated[
    str | None, typer.Argument(metavar="RELEASE_ID", help="Which release; the active one by default.")
]
CatalogueFile = Annotated[
    Path | None,
    typer.Option(
        "--catalogue",
        envvar="UNBRAID_CATALOGUE",
        help="The SQLite file with the changes of the catalogue.",
        show_default="catalogue.sqlite in the folder of releases",
    ),
]
Server = Annotated[str, typer.Option(help="host:port of the server.", envvar="UNBRAID_SERVER")]
# Not taken from UNBRAID_SERVER: whether a folder or a server is changed has to be said.
OfServer = Annotated[
    str | None,
    typer.Option("--server", metavar="HOST:PORT", help="The folder of this running server, not one of this machine."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON.")]
RankingProfile = Annotated[
    Literal["formula", "learned"] | None,
    typer.Option("--profile", help="How to rank; by default learned where the release has a ranker, else formula."),
]
