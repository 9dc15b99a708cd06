"""What a server has of threads, open files and allocators is there from its beginning, however busy it becomes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from unbraid.v1 import recommendation_pb2 as pb
from unbraid.v1.recommendation_pb2_grpc import RecommendationServiceStub
from unbraid_core.item_change import Item, ItemChange
from unbraid_core.ports import Event, UserEvent
from unbraid_server.sqlite_catalogue import SqliteCatalogueStore
from unbraid_server.sqlite_state import SqliteStateStore

if TYPE_CHECKING:
    from tests.unit.server.conftest import Listening

CALLERS, CALLS = 24, 96


def at_once(work: Callable[[int], object]) -> None:
    """Do something many times, in many threads."""
    with ThreadPoolExecutor(CALLERS, thread_name_prefix="test") as pool:
        list(pool.map(work, range(CALLS)))


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith(("call", "slow-call", "stream"))}


def open_count(path: Path) -> int:
    """How often this process has a SQLite file open, and what belongs to it."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            found += str(descriptor.readlink()).startswith(str(path))
        except FileNotFoundError:
            continue  # the one that lists them
    return found


def test_calls_start_no_threads(listening: Listening) -> None:
    port = listening(max_concurrent_calls=CALLERS)
    before = threads()
    assert len(before) > CALLERS
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        service = RecommendationServiceStub(channel)
        at_once(lambda _: service.Recommend(pb.RecommendRequest(history=pb.History()), wait_for_ready=True))
        list(service.StreamRecommend(iter([pb.StreamRecommendRequest()])))
    assert threads() == before


def test_threads_open_no_files_of_the_state(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with closing(SqliteStateStore(path)) as store:
        before = open_count(path)
        at_once(lambda number: store.append([UserEvent(f"u{number}", Event("i", 1.0))]))
        at_once(lambda number: store.read(f"u{number}", 1))
        assert store.count_users() == CALLS
        assert open_count(path) == before
    assert open_count(path) == 0


def test_threads_open_no_files_of_the_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite"
    with closing(SqliteCatalogueStore(path)) as store:
        before = open_count(path)
        at_once(lambda number: store.apply([ItemChange(f"i{number}", Item(f"i{number}", "title"), None)]))
        at_once(store.changes)
        assert store.last_sequence() == CALLS
        assert open_count(path) == before
    assert open_count(path) == 0


def printed(program: str, environment: Mapping[str, str | None]) -> str:
    """What a program prints with some variables set, or left out where they are None."""
    variables = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
    done = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("chosen", "expected"), [({}, "system"), ({"ARROW_DEFAULT_MEMORY_POOL": "mimalloc"}, "mimalloc")]
)
def test_arrow_has_no_allocator_of_its_own_but_where_the_operator_says_so(
    chosen: dict[str, str], expected: str
) -> None:
    program = (
        "import pyarrow\n"
        "from unbraid_server.allocator import keep_memory_together\n"
        "keep_memory_together()\n"
        "print(pyarrow.default_memory_pool().backend_name)\n"
    )
    assert printed(program, {"ARROW_DEFAULT_MEMORY_POOL": None, **chosen}) == expected


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, "glibc.malloc.tcache_count=0"),
        ({"GLIBC_TUNABLES": "glibc.malloc.tcache_count=3"}, "glibc.malloc.tcache_count=3"),
        ({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}, "glibc.malloc.hugetlb=1:glibc.malloc.tcache_count=0"),
    ],
)
def test_threads_keep_no_memory_but_where_the_operator_says_so(chosen: dict[str, str], expected: str) -> None:
    program = (
        "import os\n"
        "from unbraid_server.thread_caches import do_without_thread_caches\n"
        "do_without_thread_caches()\n"
        "print(os.environ['GLIBC_TUNABLES'])\n"
    )
    assert printed(program, {"GLIBC_TUNABLES": None, **chosen}) == expected
