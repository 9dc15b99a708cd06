"""Cores to use, in containers as the kernel describes them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from unbraid_server.cores import keep_to_core, roam, usable_cores

VISIBLE = len(os.sched_getaffinity(0))


def file_system(root: Path, membership: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/cgroup": membership, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        ("", {}, VISIBLE),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "max 100000\n"}, VISIBLE),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "100000 100000\n"}, 1),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "1000000000 100000\n"}, VISIBLE),
        ("0::/a/b\n", {"sys/fs/cgroup/a/b/cpu.max": "max 100000\n", "sys/fs/cgroup/a/cpu.max": "100000 100000\n"}, 1),
        (
            "5:memory:/x\n4:cpu,cpuacct:/x\n0::/\n",
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
            1,
        ),
        (
            "1:cpu:/\n",
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
            VISIBLE,
        ),
    ],
)
def test_cores_are_those_of_the_scheduler_within_the_processor_time(
    tmp_path: Path, membership: str, files: dict[str, str], cores: int
) -> None:
    assert usable_cores(file_system(tmp_path, membership, files)) == cores


def test_this_machine_has_some() -> None:
    assert 1 <= usable_cores() <= VISIBLE


def test_a_thread_keeps_to_one_core_with_those_that_it_starts_until_it_roams() -> None:
    def cores() -> set[int]:
        return os.sched_getaffinity(0)

    def kept() -> tuple[set[int], set[int], set[int]]:
        keep_to_core(VISIBLE + 1)
        with ThreadPoolExecutor(1) as child:
            of_child = child.submit(cores).result()
        before = cores()
        roam()
        return before, of_child, cores()

    with ThreadPoolExecutor(1) as thread:
        before, of_child, after = thread.submit(kept).result()
    assert before == of_child == {min(cores())}
    assert after == cores()
