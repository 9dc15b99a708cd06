"""``unbraid export``: a checkpoint to ONNX, checked against PyTorch."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from unbraid_cli.console import console, error_console

if TYPE_CHECKING:
    from unbraid_exporter.parity import ParityReport
    from unbraid_training.checkpoint import Checkpoint

__all__ = ["export", "export_and_compare"]


def export(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="The folder that unbraid train wrote.")],
    out: Annotated[
        Path | None, typer.Option(help="The folder to make; RUN_DIR/export by default. An older export is replaced.")
    ] = None,
) -> None:
    """Export a trained encoder to ONNX with all that belongs to it, if it answers as PyTorch does."""
    from unbraid_training.checkpoint import load_checkpoint

    folder = out or run_dir / "export"
    export_and_compare(load_checkpoint(run_dir), folder)
    console.print(f"next: unbraid index build {folder}", markup=False, soft_wrap=True)


def export_and_compare(checkpoint: Checkpoint, folder: Path) -> None:
    """Make an export, and print how far its answers are from those of PyTorch."""
    from unbraid_exporter.export import ITEM_PARITY_REPORT, PARITY_REPORT, export_checkpoint
    from unbraid_exporter.item_encoder import ItemParityReport
    from unbraid_exporter.parity import ParityReport

    with error_console.status("exporting to ONNX"):
        export_checkpoint(checkpoint, folder, datetime.now(UTC))
    console.print(_table(ParityReport.model_validate_json((folder / PARITY_REPORT).read_bytes())))
    if (folder / ITEM_PARITY_REPORT).is_file():
        items = ItemParityReport.model_validate_json((folder / ITEM_PARITY_REPORT).read_bytes())
        error, kinds = max(case.error for case in items.cases), len(items.cases)
        console.print(f"item encoder: {error:.1e} over {kinds} kinds of texts; {items.tolerance:.0e} is allowed")


def _table(report: ParityReport) -> Table:
    table = Table(
        "compared with PyTorch on", "B", "L", "interests", "assignment", box=None, pad_edge=False, header_style="dim"
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for case in report.cases:
        errors = f"{case.interests_error:.1e}", f"{case.assignment_error:.1e}"
        table.add_row(case.name, str(case.batch), str(case.length), *errors)
    table.caption = f"largest absolute differences; {report.tolerance:.0e} is allowed"
    table.caption_justify = "left"
    return table
