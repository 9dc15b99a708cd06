"""``unbraid config``: what a server would be told, and whether it could start."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unbraid_cli.console import console, error_console, rows_table
from unbraid_cli.serve import serve

if TYPE_CHECKING:
    from unbraid_server.setting_sources import Gathered
    from unbraid_server.settings import ServerSettings

__all__ = ["app"]

app = typer.Typer(help="Show and check the settings of a server.", no_args_is_help=True)

TAKES_OPTIONS_OF_SERVE = {"ignore_unknown_options": True}
ServeOptions = Annotated[
    list[str] | None, typer.Argument(metavar="SERVE_OPTION", help="Options as `unbraid serve` would get them.")
]


@app.command(context_settings=TAKES_OPTIONS_OF_SERVE)
def show(
    options: ServeOptions = None,
    defaults: Annotated[
        bool, typer.Option("--defaults", help="Print a TOML file with every setting, its default and what it does.")
    ] = False,
) -> None:
    """Print every setting of a server and where it comes from."""
    from unbraid_server.settings import ServerSettings

    if defaults:
        console.print("\n".join(_documented(ServerSettings())), markup=False, soft_wrap=True)
        return
    gathered = _gathered(options)
    for problem in gathered.problems:
        raise problem
    values = gathered.settings.model_dump(mode="json")
    rows = [(name, _toml(value), gathered.origins[name]) for name, value in values.items()]
    console.print(rows_table([("setting", "value", "from"), *rows]))


@app.command(context_settings=TAKES_OPTIONS_OF_SERVE)
def check(options: ServeOptions = None) -> None:
    """Say everything that would keep a server from starting, one line each; exit code 2 where there is something."""
    from unbraid_server.start_check import start_obstacles

    gathered = _gathered(options)
    problems = [*gathered.problems, *start_obstacles(gathered.settings, time.time())]
    for problem in problems:
        error_console.print(f"error: {problem.message}", style="red", markup=False, soft_wrap=True)
    if problems:
        raise typer.Exit(2)
    changed_count = len(gathered.settings.model_fields_set)
    console.print(f"a server can start with these settings, {changed_count} of which are not left to their defaults")


def _gathered(options: list[str] | None) -> Gathered[ServerSettings]:
    from unbraid_server.settings import ServerSettings

    return ServerSettings.gather(**_flags(options or []))


def _flags(options: list[str]) -> dict[str, Any]:
    """The parameters of ``serve`` as its own command line reads them."""
    alone = typer.Typer(add_completion=False)
    alone.command()(serve)
    return typer.main.get_command(alone).make_context("unbraid serve", options).params


def _documented(settings: ServerSettings) -> Iterator[str]:
    """A TOML file with all settings; what has no value is a comment, for TOML has no null."""
    values = settings.model_dump(mode="json")
    for name, field in type(settings).model_fields.items():
        assert field.description
        yield f"# {' '.join(field.description.split())}"
        yield f"# {name} =" if values[name] is None else f"{name} = {_toml(values[name])}"
        yield ""


def _toml(value: object) -> str:
    """Strings, numbers and truth are written as in JSON; what is not set is not written."""
    return "" if value is None else json.dumps(value, ensure_ascii=False)
