"""Which cores the servers of a benchmark have, and which their load."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarks.core_shares import SIBLINGS, CoreShares, core_shares, running_on

Machine = Callable[[dict[int, str]], Path]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """The root of a file system in which the kernel says which threads share a physical core with one."""

    def describe(siblings: dict[int, str]) -> Path:
        for core, threads in siblings.items():
            file = tmp_path / SIBLINGS.format(core=core)
            file.parent.mkdir(parents=True)
            file.write_text(f"{threads}\n")
        return tmp_path

    return describe


@pytest.mark.parametrize(
    "siblings",
    [
        {core: f"{core % 4},{core % 4 + 4}" for core in range(8)},
        {core: f"{core - core % 2}-{core - core % 2 + 1}" for core in range(8)},
    ],
    ids=["far apart", "side by side"],
)
def test_no_two_of_them_share_a_physical_core(machine: Machine, siblings: dict[int, str]) -> None:
    shares = core_shares(range(8), machine(siblings))
    chosen = [*shares.servers, *shares.load]
    assert (len(shares.servers), len(shares.load)) == (3, 1)
    assert len({siblings[core] for core in chosen}) == 4


def test_threads_that_may_not_be_used_are_not_chosen(machine: Machine) -> None:
    root = machine({core: f"{core % 4},{core % 4 + 4}" for core in range(8)})
    assert core_shares([1, 3, 4, 6, 7], root) == CoreShares(frozenset({1, 3, 4}), frozenset({6}))


def test_where_there_are_two_the_servers_have_both(machine: Machine) -> None:
    assert core_shares([0, 1], machine({0: "0", 1: "1"})) == CoreShares(frozenset({0, 1}), frozenset({1}))


def test_two_threads_of_the_only_core_count_as_two(machine: Machine) -> None:
    assert core_shares([0, 1], machine({0: "0-1", 1: "0-1"})) == CoreShares(frozenset({0, 1}), frozenset({1}))


def test_cores_that_the_kernel_says_nothing_about_are_physical(machine: Machine) -> None:
    assert core_shares([2, 3, 5], machine({})) == CoreShares(frozenset({2, 3}), frozenset({5}))


def test_the_cores_are_as_before_afterwards() -> None:
    before = os.sched_getaffinity(0)
    with running_on({min(before)}):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before
