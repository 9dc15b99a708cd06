"""Callers that leave, or have next to no time, take nothing from the others: benchmarks/storm.py, a shorter one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_a_storm_of_cancelled_and_hasty_calls_harms_no_other(releases_v1: Path, tmp_path: Path) -> None:
    releases = shutil.copytree(releases_v1, tmp_path / "releases")
    order = ["--calls", "1500", "--items", "24", "--releases", str(releases)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.storm", *order],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 not answered" in done.stdout
