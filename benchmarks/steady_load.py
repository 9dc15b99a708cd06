"""Asks a server for recommendations at a steady rate, until a file appears, and prints every call as a JSON line.

    python -m benchmarks.steady_load --target HOST:PORT --items 50000 --until FILE [--clients 8] [--rate 5]

A line is [epoch second at which the call was due, seconds from then to its answer, release_id, titles of the items];
the release_id of a call that failed is null.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from benchmarks.synthetic_release import item_id

from unbraid_client import ClientError, Event, UnbraidClient

__all__ = ["Call", "parse_calls"]

HISTORY, LIMIT = 30, 20
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Call:
    """One call; release_id is None where it failed."""

    due_s: float
    latency_s: float
    release_id: str | None
    titles: frozenset[str]


def parse_calls(lines: str) -> list[Call]:
    """The calls that this program printed."""
    return [
        Call(due_s, latency_s, release_id, frozenset(titles))
        for due_s, latency_s, release_id, titles in map(json.loads, lines.splitlines())
    ]


def ask(options: argparse.Namespace, client_number: int) -> list[str]:
    """One client; its calls as lines."""
    rng = np.random.default_rng(client_number)
    with UnbraidClient(options.target, timeout_s=TIMEOUT_S) as client:
        client.get_status()  # connects
        return [
            json.dumps([due_s, *_call(client, rng.integers(0, options.items, HISTORY), due_s)])
            for due_s in _due_times(options, rng.uniform())
        ]


def _due_times(options: argparse.Namespace, phase: float) -> Iterator[float]:
    due_s = time.time() + phase / options.rate
    while not options.until.exists():
        time.sleep(max(0.0, due_s - time.time()))
        yield due_s
        due_s += 1 / options.rate


def _call(client: UnbraidClient, rows: np.ndarray, due_s: float) -> tuple[float, str | None, list[str]]:
    now = datetime.now(UTC)
    try:
        answer = client.recommend(history=[Event(item_id(row), now) for row in rows], limit=LIMIT)
    except ClientError:
        return time.time() - due_s, None, []
    return time.time() - due_s, answer.release_id, sorted({item.title for item in answer.recommendations})


def main() -> int:
    """Run all clients, each in a thread."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--target", required=True, help="host:port")
    parser.add_argument("--items", type=int, required=True, help="size of the catalogue")
    parser.add_argument("--until", type=Path, required=True, help="a file that ends the load when it appears")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rate", type=float, default=5.0, help="calls a second of each client")
    options = parser.parse_args()
    with ThreadPoolExecutor(options.clients) as pool:
        for lines in pool.map(lambda number: ask(options, number), range(options.clients)):
            sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
