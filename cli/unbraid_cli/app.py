"""The commands of ``unbraid``, assembled. Every command imports what it needs when it is called."""

from __future__ import annotations

import typer

from unbraid_cli import config, data, index, items, release, state, token
from unbraid_cli.baselines import baselines
from unbraid_cli.console import error_console
from unbraid_cli.demo import demo
from unbraid_cli.evaluate import evaluate
from unbraid_cli.export import export
from unbraid_cli.inspect import inspect
from unbraid_cli.item_questions import rank, similar
from unbraid_cli.load import load
from unbraid_cli.recommend import interests, recommend, status
from unbraid_cli.report import report
from unbraid_cli.serve import serve
from unbraid_cli.sweep import sweep
from unbraid_cli.top import top
from unbraid_cli.train import train
from unbraid_client import ClientError

__all__ = ["app", "run"]

app = typer.Typer(
    name="unbraid",
    help="Takes histories apart into separate, fading interests, and serves recommendations from them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

# What typer returns when Ctrl-C ends a command, and what shells expect.
INTERRUPTED = 130

FIRST, MODEL, SERVING = "Start here", "From data to release", "Serving"

app.command(rich_help_panel=FIRST)(demo)
app.add_typer(data.app, name="data", rich_help_panel=MODEL)
app.command(rich_help_panel=MODEL)(train)
app.command(rich_help_panel=MODEL)(report)
app.command(rich_help_panel=MODEL)(sweep)
app.command(rich_help_panel=MODEL)(export)
app.add_typer(index.app, name="index", rich_help_panel=MODEL)
app.add_typer(release.app, name="release", rich_help_panel=MODEL)
app.command(rich_help_panel=MODEL)(evaluate)
app.command(rich_help_panel=MODEL)(inspect)
app.command(rich_help_panel=MODEL)(baselines)
app.add_typer(state.app, name="state", rich_help_panel=SERVING)
app.command(rich_help_panel=SERVING)(serve)
app.add_typer(token.app, name="token", rich_help_panel=SERVING)
app.add_typer(config.app, name="config", rich_help_panel=SERVING)
app.add_typer(items.app, name="items", rich_help_panel=SERVING)
app.command(rich_help_panel=SERVING)(recommend)
app.command(rich_help_panel=SERVING)(rank)
app.command(rich_help_panel=SERVING)(similar)
app.command(rich_help_panel=SERVING)(interests)
app.command(rich_help_panel=SERVING)(status)
app.command(rich_help_panel=SERVING)(top)
app.command(rich_help_panel=SERVING)(load)


def run() -> int:
    """Run the command of sys.argv and return the exit code; a user's mistake is one line on stderr and 2."""
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:
        # Without a message it stands for a group without a command, whose help has been printed.
        message = error.format_message()
        return _fail(message) if message else error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except UnicodeEncodeError:
        # What a shell hands over as bytes that are no text reaches Python as surrogates, which nothing else takes.
        return _fail("an argument or file holds bytes that are no UTF-8 text")
    except ClientError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename or 'input/output'}: {error.strerror or error}")
    except Exception as error:
        from unbraid_core.errors import UnbraidError

        if not isinstance(error, UnbraidError):
            raise
        return _fail(error.message)
    if code == INTERRUPTED:
        error_console.print("interrupted")
    return code if isinstance(code, int) else 0


def _fail(message: str) -> int:
    error_console.print(f"error: {message}", style="red", markup=False, soft_wrap=True)
    return 2
