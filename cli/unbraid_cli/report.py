"""``unbraid report``: a training run as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unbraid_cli.console import console

__all__ = ["report"]


def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="The folder that unbraid train wrote.")],
) -> None:
    """Write the HTML report of a run anew, finished or not: losses, validation metrics, half-lives, settings."""
    from unbraid_training.report.run_report import write_report

    console.print(write_report(folder), markup=False, soft_wrap=True)
