"""How long `unbraid index build` takes over millions of items, and how much memory.

    OMP_NUM_THREADS=1 python -m benchmarks.index_scale [--items 10000000] [--recall 0.99] [--memory-budget MB]
        [--folder FOLDER]

Makes an export of clustered items with vectors of 64 numbers, then runs the command in a process of its own. Peak
memory is the largest resident set of that process; pages of files that it has mapped, which the kernel takes back when
it needs them, are in it. With --folder the export is kept, and what is there is used again.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.synthetic_release import write_synthetic_export
from rich.console import Console
from rich.table import Table


def make_export(export: Path, item_count: int) -> None:
    """Write it in a process of its own, which gives its memory back."""
    writer = get_context("spawn").Process(
        target=write_synthetic_export, args=(export, item_count, "item", datetime.now(UTC))
    )
    writer.start()
    writer.join()
    if writer.exitcode:
        raise SystemExit(f"the export was not written: exit status {writer.exitcode}")


def build(arguments: list[str]) -> Table:
    """Run the command; its time and memory."""
    start_s = time.monotonic()
    process_id = os.posix_spawn(
        sys.executable, [sys.executable, "-m", "unbraid_cli", "index", "build", *arguments], os.environ
    )
    _, status, usage = os.wait4(process_id, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise SystemExit(code)
    table = Table("minutes", "CPU minutes", "peak resident MB")
    table.add_row(
        f"{(time.monotonic() - start_s) / 60:.1f}",
        f"{(usage.ru_utime + usage.ru_stime) / 60:.1f}",
        f"{usage.ru_maxrss * 1024 / 1e6:,.0f}",
    )
    return table


def main() -> int:
    """Make the export, build over it, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--items", type=int, default=10_000_000)
    parser.add_argument("--recall", type=float, default=0.99)
    parser.add_argument("--memory-budget", type=int, help="MB that the index may take beside the item vectors")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        export = folder / "export"
        if not export.exists():
            make_export(export, options.items)
        arguments = [str(export), "--releases", str(folder / "releases"), "--recall", str(options.recall)]
        if options.memory_budget is not None:
            arguments += ["--memory-budget", str(options.memory_budget)]
        Console(width=110).print(build(arguments))
    return 0


if __name__ == "__main__":
    sys.exit(main())
