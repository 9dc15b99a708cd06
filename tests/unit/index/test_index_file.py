from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import faiss
import numpy as np
import pytest

from unbraid_core.errors import IncompatibleError, IntegrityError
from unbraid_core.types import FloatArray
from unbraid_index.faiss_searcher import FaissSearcher
from unbraid_index.family import FAMILIES, family_named
from unbraid_index.index_file import write_index
from unbraid_index.making import IndexMaker
from unbraid_index.progress import unwatched

if TYPE_CHECKING:
    from tests.unit.conftest import FilesLimitedTo

SIZE, DIMENSION = 6_000, 16
# A flat index is searched in the vectors of the release, which lie at even addresses.
SEARCHED_IN_THE_FILE = [family.name for family in FAMILIES if family.mapped and family.name != "flat"]

MakeVectors = Callable[..., FloatArray]


def write(family: str, item_vectors_ID: FloatArray, path: Path) -> None:
    write_index(IndexMaker(item_vectors_ID, 0, unwatched).make(family_named(family)), path)


def open_index(family: str, path: Path, item_vectors_ID: FloatArray) -> FaissSearcher:
    return FaissSearcher.open(path, family, family_named(family).gentlest, item_vectors_ID)


@pytest.fixture(scope="module")
def item_vectors_ID(unit_vectors: MakeVectors) -> FloatArray:
    return unit_vectors(SIZE, DIMENSION, seed=1)


@pytest.fixture(scope="module")
def written(item_vectors_ID: FloatArray, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Where the index of a family lies; each is made once."""
    folder = tmp_path_factory.mktemp("indexes")

    @functools.cache
    def path_of(family: str) -> Path:
        write(family, item_vectors_ID, folder / family)
        return folder / family

    return path_of


@pytest.fixture(params=[family.name for family in FAMILIES])
def family(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def path(family: str, written: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copyfile(written(family), tmp_path / "index.faiss"))


def mapped_kib(path: Path, field: str) -> int:
    """Sum of one field over the mappings of a file in this process."""
    total, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        key, *values = line.split()
        if not key.endswith(":"):
            ours = line.endswith(str(path))
        elif ours and key == f"{field}:":
            total += int(values[0])
    return total


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("family", SEARCHED_IN_THE_FILE, indirect=True)
def test_searchers_share_the_pages_of_the_file(
    family: str, path: Path, item_vectors_ID: FloatArray, unit_vectors: MakeVectors
) -> None:
    query_QD = unit_vectors(200, DIMENSION, seed=2)
    searchers = [open_index(family, path, item_vectors_ID) for _ in range(2)]
    for searcher in searchers:
        searcher.search(query_QD, 10)

    file_kib = path.stat().st_size // 1024
    assert mapped_kib(path, "Size") >= 2 * file_kib
    assert mapped_kib(path, "Rss") > file_kib / 2
    assert mapped_kib(path, "Anonymous") == 0


def test_a_file_replaced_by_rename_stays_usable(
    family: str, path: Path, item_vectors_ID: FloatArray, unit_vectors: MakeVectors
) -> None:
    query_QD = unit_vectors(5, DIMENSION, seed=2)
    searcher = open_index(family, path, item_vectors_ID)
    before = searcher.search(query_QD, 50)

    following, following_vectors_ID = path.with_suffix(".next"), unit_vectors(5_000, DIMENSION, seed=3)
    write(family, following_vectors_ID, following)
    following.replace(path)

    np.testing.assert_array_equal(searcher.search(query_QD, 50).row_QC, before.row_QC)
    assert open_index(family, path, following_vectors_ID).size == 5_000


@pytest.mark.parametrize("kept", [0, 3, 100, -9_000])
def test_a_truncated_file_is_refused(family: str, path: Path, item_vectors_ID: FloatArray, kept: int) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(IntegrityError, match=r"index\.faiss: FAISS cannot read it"):
        open_index(family, path, item_vectors_ID)


@pytest.mark.parametrize("family", ["flat", "ivf_flat", "ivf_sq8", "ivf_pq_fast_scan"], indirect=True)
def test_sizes_beyond_the_file_are_refused_and_the_limits_of_faiss_are_put_back(
    family: str, path: Path, item_vectors_ID: FloatArray
) -> None:
    limits = faiss.get_deserialization_vector_byte_limit(), faiss.get_deserialization_loop_limit()
    damaged = bytearray(path.read_bytes())
    # The first 64-bit number after the header of the index: the size of the vectors, or the number of lists.
    damaged[37:45] = (2**38).to_bytes(8, "little")
    path.write_bytes(damaged)

    with pytest.raises(IntegrityError):
        open_index(family, path, item_vectors_ID)
    assert (faiss.get_deserialization_vector_byte_limit(), faiss.get_deserialization_loop_limit()) == limits


def test_another_family_than_stated_is_refused(family: str, path: Path, item_vectors_ID: FloatArray) -> None:
    other = "hnsw" if family == "flat" else "flat"
    with pytest.raises(IncompatibleError, match=f"not a {other} inner-product index"):
        open_index(other, path, item_vectors_ID)


def test_another_metric_is_refused(item_vectors_ID: FloatArray, tmp_path: Path) -> None:
    index = faiss.IndexFlatL2(DIMENSION)
    index.add(item_vectors_ID)
    faiss.write_index(index, str(tmp_path / "index.faiss"))
    with pytest.raises(IncompatibleError, match="inner-product"):
        FaissSearcher.open(tmp_path / "index.faiss", "flat", {}, item_vectors_ID)


def test_a_family_of_a_later_version_is_refused(path: Path, item_vectors_ID: FloatArray) -> None:
    with pytest.raises(IncompatibleError, match="index family 'spann' is none of flat, sq_fp16"):
        FaissSearcher.open(path, "spann", {}, item_vectors_ID)


@pytest.mark.parametrize("params", [{"radius": 5}, {"nprobe": 1, "ef": 5}])
def test_search_parameters_of_another_index_are_refused(
    family: str, path: Path, item_vectors_ID: FloatArray, params: dict[str, int]
) -> None:
    with pytest.raises(IncompatibleError, match="search parameters"):
        FaissSearcher.open(path, family, params, item_vectors_ID)


def test_search_parameters_are_never_written_into_the_index(item_vectors_ID: FloatArray) -> None:
    family = family_named("ivf_flat")
    index = IndexMaker(item_vectors_ID, 0, unwatched).make(family)
    assert isinstance(index, faiss.IndexIVFFlat)
    before = index.nprobe
    FaissSearcher(index, family, {"nprobe": 17}, item_vectors_ID).search(item_vectors_ID[:3], 10)
    assert index.nprobe == before


@pytest.mark.parametrize(("chosen", "expected"), [(None, "1"), ("3", "3")])
def test_faiss_has_one_thread_unless_the_operator_says_otherwise(chosen: str | None, expected: str) -> None:
    """In every thread, and without a trace in the environment that other libraries read."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if chosen is not None:
        environment["OMP_NUM_THREADS"] = chosen
    code = (
        "import os, threading, unbraid_index, faiss\n"
        "seen = []\n"
        "thread = threading.Thread(target=lambda: seen.append(faiss.omp_get_max_threads()))\n"
        "thread.start(); thread.join()\n"
        "print(seen[0], faiss.omp_get_max_threads(), os.environ.get('OMP_NUM_THREADS'))\n"
    )
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [expected, expected, str(chosen)]


def test_a_full_disk_is_named(item_vectors_ID: FloatArray, tmp_path: Path, files_limited_to: FilesLimitedTo) -> None:
    path = tmp_path / "index.faiss"
    with files_limited_to(100_000), pytest.raises(OSError, match="File too large") as caught:
        write("flat", item_vectors_ID, path)
    assert caught.value.filename == str(path)
