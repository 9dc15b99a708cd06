"""``unbraid token``: tokens for callers of a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer

from unbraid_cli.console import console, error_console

__all__ = ["app"]

app = typer.Typer(help="Make tokens for callers of a server.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Make tokens for callers of a server."""


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is; logs call the caller so.")],
    role: Annotated[
        Literal["read", "write", "admin"],
        typer.Option(help="What it allows: read; write changes items too; admin changes releases too."),
    ],
    access_file: Annotated[
        Path | None,
        typer.Option(
            envvar="UNBRAID_ACCESS_FILE", help="Add the token to this file of a server; without one, print what to add."
        ),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, help="For how many days it is accepted.", show_default="for ever")
    ] = None,
) -> None:
    """Make a token and print it, once: only its hash is kept."""
    from unbraid_server.access_file import add_grant, grant_text, issue_token

    expires = None if days is None else datetime.now(UTC) + timedelta(days=days)
    token, grant = issue_token(name, role, expires)
    if access_file is None:
        error_console.print(f"add this to the access file of the server:\n\n{grant_text(grant)}", markup=False)
    else:
        add_grant(access_file, grant)
        error_console.print(f"added {name} to {access_file}", markup=False, soft_wrap=True)
    console.print(token, markup=False, soft_wrap=True)
