"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["RELEASES", "STATE", "Releases", "State"]

RELEASES = Path("releases")
STATE = Path("state.db")

Releases = Annotated[Path, typer.Option("--releases", envvar="UNBRAID_RELEASES", help="The folder of releases.")]
State = Annotated[
    Path, typer.Option("--state", envvar="UNBRAID_STATE", help="The SQLite file with the histories of users.")
]
