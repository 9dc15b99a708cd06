"""``unbraid export``: a checkpoint to ONNX, checked against PyTorch."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from unbraid_cli.console import console, error_console, rows_table
from unbraid_core.counted import counted

if TYPE_CHECKING:
    from unbraid_exporter.compression import Compression
    from unbraid_exporter.compression_report import CompressionReport
    from unbraid_exporter.parity import ParityReport
    from unbraid_training.checkpoint import Checkpoint

__all__ = ["export", "export_and_compare"]

PrecisionName = Literal["fp32", "fp16", "int8"]


def export(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="The folder that unbraid train wrote.")],
    out: Annotated[
        Path | None, typer.Option(help="The folder to make; RUN_DIR/export by default. An older export is replaced.")
    ] = None,
    encoder_precision: Annotated[
        PrecisionName, typer.Option(help="Of the encoder; int8 makes large encoders faster on a CPU.")
    ] = "fp32",
    vector_precision: Annotated[
        PrecisionName, typer.Option(help="Of the item vectors: 4, 2 or 1 bytes a number.")
    ] = "fp32",
    max_loss: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="The share of Recall@50 that a precision below fp32 may lose.")
    ] = 0.005,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="The folder that the model learnt from; the loss below fp32 is measured on it."),
    ] = None,
) -> None:
    """Export a trained encoder to ONNX with all that belongs to it, if it answers as PyTorch does.

    Below fp32, held-out users are asked before and after, and what loses too much of Recall@50 is not exported.
    """
    from unbraid_training.checkpoint import load_checkpoint

    folder = out or run_dir / "export"
    checkpoint = load_checkpoint(run_dir)
    compression = _compression(checkpoint, encoder_precision, vector_precision, max_loss, data)
    export_and_compare(checkpoint, folder, compression)
    console.print(f"next: unbraid index build {folder}", markup=False, soft_wrap=True)


def export_and_compare(checkpoint: Checkpoint, folder: Path, compression: Compression | None = None) -> None:
    """Make an export; print how far its answers are from those of PyTorch or LightGBM, and what compressing lost."""
    from unbraid_exporter.compression_report import CompressionReport
    from unbraid_exporter.export import (
        COMPRESSION_REPORT,
        ITEM_PARITY_REPORT,
        PARITY_REPORT,
        export_checkpoint,
    )
    from unbraid_exporter.item_encoder import ItemParityReport
    from unbraid_exporter.parity import ParityReport
    from unbraid_exporter.ranker_files import RANKER_PARITY_REPORT
    from unbraid_exporter.ranker_parity import RankerParityReport

    with error_console.status("exporting to ONNX"):
        export_checkpoint(checkpoint, folder, datetime.now(UTC), compression)
    console.print(_table(ParityReport.model_validate_json((folder / PARITY_REPORT).read_bytes())))
    if checkpoint.ranker is not None:
        parity = RankerParityReport.model_validate_json((folder / RANKER_PARITY_REPORT).read_bytes())
        row_count = sum(case.rows for case in parity.cases)
        console.print(
            f"ranker: scores differ from {parity.library} by at most {parity.max_difference:.1e} "
            f"in {counted(row_count, 'row')}; {parity.tolerance:.0e} is allowed",
            soft_wrap=True,
        )
    if (folder / ITEM_PARITY_REPORT).is_file():
        items = ItemParityReport.model_validate_json((folder / ITEM_PARITY_REPORT).read_bytes())
        error, kinds = max(case.error for case in items.cases), len(items.cases)
        console.print(f"item encoder: {error:.1e} over {kinds} kinds of texts; {items.tolerance:.0e} is allowed")
    if compression is not None:
        _print_compression(CompressionReport.model_validate_json((folder / COMPRESSION_REPORT).read_bytes()))


def _compression(
    checkpoint: Checkpoint, encoder: PrecisionName, vectors: PrecisionName, max_loss: float, data: Path | None
) -> Compression | None:
    """What was asked for, with the users to measure it on; None where all stays fp32."""
    from unbraid_core.errors import InvalidInput
    from unbraid_core.types import Precision
    from unbraid_exporter.compression import Compression
    from unbraid_exporter.held_out_users import HeldOutUsers
    from unbraid_training.data.sources import open_dataset

    if encoder == vectors == "fp32":
        return None
    if data is None:
        raise InvalidInput("--data", "name the folder that the model learnt from, to measure what is lost below fp32")
    dataset, _ = open_dataset(data)
    return Compression(Precision(encoder), Precision(vectors), HeldOutUsers.of(checkpoint, dataset), max_loss)


def _print_compression(report: CompressionReport) -> None:
    sizes = [[name, f"{size.fp32:,}", f"{size.compressed:,}", ""] for name, size in report.files.items()]
    metrics = [
        [
            f"{name}, task {change.task}, {change.profile}",
            f"{metric.fp32:.4f}",
            f"{metric.compressed:.4f}",
            f"{metric.relative_change:+.2%} [{metric.low:+.2%}, {metric.high:+.2%}]",
        ]
        for change in report.tasks
        for name, metric in change.metrics.items()
    ]
    head = [f"encoder {report.encoder_precision}, vectors {report.vector_precision}", "fp32", "compressed", "change"]
    console.print()
    console.print(rows_table([head, *sizes, *metrics]))
    console.print(
        f"sizes in bytes; users of {report.validation_split}, which the model has learnt from since; a loss of "
        f"{report.max_loss:.2%} is allowed",
        style="dim",
    )


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
