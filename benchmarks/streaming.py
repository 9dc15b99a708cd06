"""How much memory and time reading events takes: generated Parquet files, each read in a process of its own.

    python benchmarks/streaming.py [--millions 1 5 20 100] [--folder DIR]

The events come in the order of their times, from a million users on a hundred thousand items, with string ids. Peak
memory is the largest resident set of the process, what Python and its libraries take before reading included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet
from rich.console import Console
from rich.progress import track

USERS, ITEMS = 1_000_000, 100_000
ROW_GROUP = 1_000_000
START_S, SPAN_S = 1_600_000_000, 365 * 86_400
MIB = 2**20

READ = """
import json, resource, sys, time
from pathlib import Path
from unbraid_training.data.events import read_events
start = time.perf_counter()
dataset, report = read_events(Path(sys.argv[1]))
seconds = time.perf_counter() - start
columns = (dataset.user_E, dataset.row_E, dataset.action_E, dataset.time_s_E)
print(json.dumps({
    "seconds": seconds,
    "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    "column_bytes": sum(column.nbytes for column in columns),
    "events": len(dataset),
    "users": len(dataset.user_ids),
}))
"""


def generate(path: Path, event_count: int, seed: int) -> None:
    """Write a file of events, a row group at a time."""
    rng = np.random.default_rng(seed)
    users = pa.array([f"customer-{user:08d}" for user in range(USERS)])
    items = pa.array([f"product-{item:07d}" for item in range(ITEMS)])
    actions = pa.array(["view", "cart", "buy"])
    schema = pa.schema(
        [pa.field(name, pa.string()) for name in ("user_id", "item_id", "action")]
        + [pa.field("timestamp", pa.float64())]
    )
    with parquet.ParquetWriter(path, schema) as file:
        for start in track(
            range(0, event_count, ROW_GROUP), f"generating {event_count:,} events", console=Console(stderr=True)
        ):
            count = min(ROW_GROUP, event_count - start)
            columns = [
                users.take(rng.integers(0, USERS, count)),
                items.take((ITEMS * rng.random(count) ** 2).astype(np.int64)),
                actions.take(rng.integers(0, 3, count)),
                pa.array(START_S + SPAN_S * (start + np.arange(count)) / event_count),
            ]
            file.write_table(pa.table(columns, schema=schema))


def read(path: Path) -> dict[str, float]:
    """Read a file in a process of its own."""
    done = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Generate, read and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--millions", type=int, nargs="+", default=[1, 5, 20, 100], help="events, in millions")
    parser.add_argument("--folder", type=Path, help="where the files are made; a temporary folder by default")
    options = parser.parse_args()
    console = Console()
    console.print("| events | file MiB | seconds | peak MiB | columns MiB | peak bytes an event |")
    console.print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "events.parquet"
        for millions in options.millions:
            generate(path, millions * 1_000_000, seed=1)
            found = read(path)
            sizes = [path.stat().st_size, found["peak_bytes"], found["column_bytes"]]
            file_mib, peak_mib, columns_mib = (f"{size / MIB:,.0f}" for size in sizes)
            each = found["peak_bytes"] / found["events"]
            cells = [
                f"{found['events']:,.0f}",
                file_mib,
                f"{found['seconds']:.1f}",
                peak_mib,
                columns_mib,
                f"{each:.0f}",
            ]
            console.print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
