"""What a second server process of the same release adds to the memory of a machine.

    python -m benchmarks.memory [--items 1000000] [--releases FOLDER]

Starts two servers, asks both, and reads from the kernel what the second one has for itself: pages of the files of the
release that no other process shares, and anonymous memory beyond that of a server of 1,000 items. What of that the
strings and the dictionary of the item ids take is measured in a process that opens nothing but the catalogue. With
--releases the folder is kept, and what is in there is used again.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from benchmarks.server_process import server_process
from benchmarks.synthetic_release import item_id, publish_synthetic_release
from rich.console import Console
from rich.table import Table

from unbraid_client import Event, UnbraidClient
from unbraid_core.release import ReleaseStore
from unbraid_core.release.layout import CATALOGUE

FEW_ITEMS = 1_000
CALLS, HISTORY = 200, 30

OPEN_CATALOGUE = """
import re, sys
from pathlib import Path
from unbraid_core.catalogue import Catalogue

def anonymous_kb():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before_kb = anonymous_kb()
catalogue = Catalogue.open(Path(sys.argv[1]))
print((anonymous_kb() - before_kb) / 1e3)
"""


def private_mb(process_id: int) -> Counter[str]:
    """Private memory of a process by the file that is mapped; anonymous memory has the empty name."""
    found: Counter[str] = Counter()
    name = ""
    for line in Path(f"/proc/{process_id}/smaps").read_text().splitlines():
        if header := re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ (\d+) *(.*)", line):
            name = Path(header[2]).name if header[1] != "0" else ""
        elif private := re.match(r"Private_(?:Clean|Dirty): +(\d+) kB", line):
            found[name] += int(private[1])
    return Counter({name: kilobytes / 1e3 for name, kilobytes in found.items()})


def ask(target: str, item_count: int) -> None:
    """Touch what calls touch."""
    rng = np.random.default_rng(0)
    now = datetime.now(UTC)
    with UnbraidClient(target, timeout_s=60.0) as client:
        for rows in rng.integers(0, item_count, (CALLS, HISTORY)):
            client.recommend(history=[Event(item_id(row), now) for row in rows])


def second_worker(store: ReleaseStore, item_count: int) -> Counter[str]:
    """The private memory of the second of two servers, after both have answered."""
    with ExitStack() as stack:
        servers = [stack.enter_context(server_process(store.root)) for _ in range(2)]
        for target, _ in servers:
            ask(target, item_count)
        return private_mb(servers[1][1])


def catalogue_mb(store: ReleaseStore) -> float:
    """Anonymous memory of an open catalogue."""
    path = store.root / (store.current_id() or "") / CATALOGUE
    done = subprocess.run([sys.executable, "-c", OPEN_CATALOGUE, str(path)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def prepared(root: Path, item_count: int) -> ReleaseStore:
    """A folder with a release of this size, made if need be."""
    store = ReleaseStore(root)
    if store.current_id() is None:
        store.activate(publish_synthetic_release(store, item_count, "item", datetime.now(UTC)), datetime.now(UTC))
    return store


def main() -> int:
    """Measure, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--releases", type=Path)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        store = prepared(options.releases or Path(folder) / "releases", options.items)
        few = second_worker(prepared(Path(folder) / "few" / "releases", FEW_ITEMS), FEW_ITEMS)
        many = second_worker(store, options.items)
        ids_mb = catalogue_mb(store)
        files = store.manifest().files
    table = Table("second worker", "private MB", "size in the release, MB")
    for name, entry in files.items():
        table.add_row(name, f"{many[Path(name).name]:.1f}", f"{entry.size / 1e6:.1f}")
    data_mb = many[""] - few[""]
    mapped_mb = sum(many[Path(name).name] for name in files)
    table.add_row(f"anonymous, beyond a server of {FEW_ITEMS:,} items", f"{data_mb:.1f}", "")
    table.add_row("  of that ids of the catalogue, as strings and in a dictionary", f"{ids_mb:.1f}", "")
    table.add_row("index and vectors: all of the above but the ids", f"{data_mb - ids_mb + mapped_mb:.1f}", "")
    Console(width=110).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
