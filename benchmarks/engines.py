"""The engines that the retrieval benchmark compares, behind one protocol: ours and three libraries.

The libraries are in the extra ``bench``. Each runs on one thread and answers the interests of a user in one call.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from unbraid_core.types import FloatArray, IntArray, SearchHits
from unbraid_index.build import IndexSettings, build_index
from unbraid_index.faiss_searcher import FaissSearcher
from unbraid_index.family import family_named
from unbraid_index.queries import RecallQueries
from unbraid_index.recall import Search

__all__ = ["ENGINES", "Engine", "Hnswlib", "Ours", "Scann", "Setting", "Usearch"]

Setting = Mapping[str, int]

LONGER_SHORTLISTS = (400, 500, 600, 800, 1_200, 1_600, 2_400, 3_200)
EF = (200, 250, 300, 400, 500, 700, 1_000, 1_400, 2_000, 2_800, 4_000)


class Engine(Protocol):
    """Something that finds the nearest items, with settings to choose from."""

    name: str

    def build(self, item_vectors_ID: FloatArray, queries: RecallQueries, threads: int) -> None:
        """Make the index with so many threads; only ours looks at the queries, to tune itself, with one thread."""
        ...

    def settings(self) -> Sequence[Sequence[Setting]]:
        """Ladders of settings, each from fast to thorough."""
        ...

    def search(self, setting: Setting) -> Search:
        """How to search with a setting."""
        ...

    def size_bytes(self) -> int:
        """What has to be in memory to search, vectors included."""
        ...

    def describe(self, setting: Setting) -> str:
        """In words."""
        ...


class Ours:
    """``build_index``, whose contest ends in a setting; the file is memory-mapped."""

    name = "unbraid"

    def build(self, item_vectors_ID: FloatArray, queries: RecallQueries, _threads: int) -> None:
        """All families compete."""
        self._folder = tempfile.TemporaryDirectory(prefix="unbraid-retrieval-")
        self._path = Path(self._folder.name) / "index.faiss"
        self._item_vectors_ID = item_vectors_ID
        self.report = build_index(item_vectors_ID, queries, self._path, IndexSettings(recall_target=0.99))

    def settings(self) -> Sequence[Sequence[Setting]]:
        """The one that won."""
        return [[self.report.spec.search_params]]

    def search(self, setting: Setting) -> Search:
        """As a server does."""
        return FaissSearcher.open(self._path, self.report.spec.family, setting, self._item_vectors_ID).search

    def size_bytes(self) -> int:
        """The index, and the item vectors where the scores come from them."""
        lossy = family_named(self.report.spec.family).lossy
        return self._path.stat().st_size + (self._item_vectors_ID.nbytes if lossy else 0)

    def describe(self, setting: Setting) -> str:
        """Family and search parameters."""
        return ", ".join([self.report.spec.factory or "", *(f"{name} {value}" for name, value in setting.items())])


class Hnswlib:
    """hnswlib 0.8: HNSW with whole vectors."""

    name = "hnswlib"
    edges, effort = 16, 200

    def build(self, item_vectors_ID: FloatArray, _queries: RecallQueries, threads: int) -> None:
        """M 16, ef_construction 200."""
        import hnswlib  # noqa: PLC0415 - in an extra

        self._index = hnswlib.Index(space="ip", dim=item_vectors_ID.shape[1])
        self._index.init_index(len(item_vectors_ID), ef_construction=self.effort, M=self.edges)
        self._index.add_items(item_vectors_ID, num_threads=threads)

    def settings(self) -> Sequence[Sequence[Setting]]:
        """By ef."""
        return [[{"ef": ef} for ef in EF]]

    def search(self, setting: Setting) -> Search:
        """One call for all interests."""

        def answer(query_QD: FloatArray, count: int) -> SearchHits:
            return _hits(self._index.knn_query(query_QD, count, num_threads=1)[0])

        self._index.set_ef(setting["ef"])
        return answer

    def size_bytes(self) -> int:
        """Of its file."""
        return int(self._index.index_file_size())

    def describe(self, setting: Setting) -> str:
        """Graph and ef."""
        return f"M {self.edges}, ef {setting['ef']}"


class Usearch:
    """usearch 2: HNSW with whole vectors."""

    name = "usearch"
    edges, effort = 16, 200

    def build(self, item_vectors_ID: FloatArray, _queries: RecallQueries, threads: int) -> None:
        """Connectivity 16, expansion_add 200."""
        from usearch.index import Index  # noqa: PLC0415 - in an extra

        # Its stubs miss the setter of the expansion.
        self._index: Any = Index(
            ndim=item_vectors_ID.shape[1],
            metric="ip",
            dtype="f32",
            connectivity=self.edges,
            expansion_add=self.effort,
            enable_key_lookups=False,
        )
        self._index.add(np.arange(len(item_vectors_ID)), item_vectors_ID, threads=threads)

    def settings(self) -> Sequence[Sequence[Setting]]:
        """By expansion."""
        return [[{"expansion": ef} for ef in EF]]

    def search(self, setting: Setting) -> Search:
        """One call for all interests."""

        def answer(query_QD: FloatArray, count: int) -> SearchHits:
            return _hits(self._index.search(query_QD, count, threads=1).keys)

        self._index.expansion_search = setting["expansion"]
        return answer

    def size_bytes(self) -> int:
        """Of its file."""
        return int(self._index.serialized_length)

    def describe(self, setting: Setting) -> str:
        """Graph and expansion."""
        return f"connectivity {self.edges}, expansion {setting['expansion']}"


class Scann:
    """ScaNN 1.4: 4 bits for each of so many dimensions, anisotropic, in lists or not, then exact scores."""

    def __init__(self, lists: bool, dimensions_per_code: int) -> None:
        self._lists, self._dimensions = lists, dimensions_per_code
        self.name = f"scann {'tree' if lists else 'flat'} AH{dimensions_per_code}"

    def build(self, item_vectors_ID: FloatArray, _queries: RecallQueries, threads: int) -> None:
        """As its documentation advises: lists in the order of the root of the items, threshold 0.2."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import scann  # noqa: PLC0415 - in an extra

        builder = scann.scann_ops_pybind.builder(item_vectors_ID, 200, "dot_product")
        builder = builder.set_n_training_threads(threads)
        self._leaves = int(2 * np.sqrt(len(item_vectors_ID))) if self._lists else 1
        if self._lists:
            sample = min(len(item_vectors_ID), 250_000)
            builder = builder.tree(self._leaves, num_leaves_to_search=self._leaves, training_sample_size=sample)
        coded = builder.score_ah(self._dimensions, anisotropic_quantization_threshold=0.2)
        self._index: Any = coded.reorder(400).build()

    def settings(self) -> Sequence[Sequence[Setting]]:
        """A ladder of leaves for each length of the shortlist; of shortlists alone where there are no leaves."""
        if not self._lists:
            return [[{"leaves": 1, "reorder": reorder} for reorder in (250, 300, 350, *LONGER_SHORTLISTS)]]
        shares = (0.004, 0.006, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.4)
        leaves = sorted({max(1, round(share * self._leaves)) for share in shares})
        return [[{"leaves": count, "reorder": reorder} for count in leaves] for reorder in (250, 300, 400, 600)]

    def search(self, setting: Setting) -> Search:
        """One call for all interests; ScaNN's batched search on one thread."""
        arguments: dict[str, int] = {"pre_reorder_num_neighbors": setting["reorder"]}
        if self._lists:
            arguments["leaves_to_search"] = setting["leaves"]

        def answer(query_QD: FloatArray, count: int) -> SearchHits:
            return _hits(self._index.search_batched(query_QD, final_num_neighbors=count, **arguments)[0])

        return answer

    def size_bytes(self) -> int:
        """Of its files."""
        with tempfile.TemporaryDirectory(prefix="scann-") as folder:
            self._index.serialize(folder)
            return sum(path.stat().st_size for path in Path(folder).iterdir())

    def describe(self, setting: Setting) -> str:
        """Leaves and shortlist."""
        leaves = f"{setting['leaves']} of {self._leaves} leaves, " if self._lists else ""
        return f"{leaves}reorder {setting['reorder']}"


def _hits(row_QC: Any) -> SearchHits:
    """Without scores: what is found counts by its row."""
    rows: IntArray = np.asarray(row_QC, np.int64)
    return SearchHits(rows, np.full(rows.shape, -np.inf, np.float32))


ENGINES: Mapping[str, Sequence[Callable[[], Engine]]] = {
    "unbraid": [Ours],
    "hnswlib": [Hnswlib],
    "usearch": [Usearch],
    "scann": [lambda: Scann(True, 2), lambda: Scann(True, 1), lambda: Scann(False, 2), lambda: Scann(False, 1)],
}
