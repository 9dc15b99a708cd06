"""Exact search as an ONNX graph, on the device of the encoder, behind the Searcher port.

The graph is the file ``exact_search.onnx``, the same for every catalogue: ``server/make_exact_search.py`` has made it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.types import BoolArray, FloatArray, IntArray, SearchHits, SearchPlan
from unbraid_index.contract import checked_allowed, checked_queries, padded_hits
from unbraid_index.ordering import best_rows
from unbraid_server.bucketed_encoder import Place, power_of_two
from unbraid_server.device import Device, DeviceChoice
from unbraid_server.device_options import CPU_PROVIDER, CUDA_PROVIDER, provider_options
from unbraid_server.gpu_thread import in_gpu_thread
from unbraid_server.handover import Handover
from unbraid_server.onnx_session import open_session, taking_the_gpu, using_the_gpu

__all__ = ["DeviceSearcher"]

GRAPH = Path(__file__).with_name("exact_search.onnx")
DEFAULT_SCORE_BYTES = 256 * 2**20


class DeviceSearcher:
    """Compares with every item. Safe to call from several threads at once.

    The item vectors lie on the device as float32, whatever a release stores. Queries go there with each call, unless
    the encoder has left them there, and so do flags of the rows that are allowed; rows and scores come back.

    Queries are padded to 1, 2, 4 ... of them: memory of a GPU that was taken for so many is kept for as many again.

    Equal scores are ordered by row on any device: as long as the last score that was fetched is that of the last one
    wanted, more are fetched, and what came is put in order here.

    Args:
        item_vectors_ID: of the catalogue.
        device: where to search: that of an encoder.
        handover: what that encoder leaves on the device.
        score_bytes: memory for scores at a time, unless those of one query take more.

    Raises:
        DeviceUnavailable: the item vectors cannot be brought to the GPU.
    """

    def __init__(
        self,
        item_vectors_ID: ItemVectors,
        device: DeviceChoice,
        handover: Handover,
        score_bytes: int = DEFAULT_SCORE_BYTES,
    ) -> None:
        on_gpu = device.active is Device.CUDA
        providers = (CUDA_PROVIDER, CPU_PROVIDER) if on_gpu else (CPU_PROVIDER,)
        # How many rows are wanted differs from call to call, which neither a CUDA graph nor an engine could follow.
        options = replace(device.options, cuda_graphs=False, tensorrt_cache=None)
        self._session = open_session(GRAPH, provider_options(providers, options))
        self._place = Place("cuda", options.gpu_id) if on_gpu else Place("cpu")
        self._handover = handover
        self._size, self._dimension = item_vectors_ID.shape
        # The scores are there twice: before and behind the mask.
        fitting = max(1, score_bytes // (2 * 4 * self._size))
        self._queries_at_once = power_of_two(fitting + 1) // 2
        with taking_the_gpu("retrieval"):
            self._items = self._on_device(item_vectors_ID[:])
            self._all_allowed = self._on_device(np.ones(self._size, np.bool_))

    @property
    def size(self) -> int:
        """Number of items that can be found."""
        return self._size

    def search(self, query_QD: FloatArray, count: int, allowed_I: BoolArray | None = None) -> SearchHits:
        """See the Searcher port."""
        query_QD = checked_queries(query_QD, count, self._dimension)
        allowed, allowed_count = self._all_allowed, self._size
        if allowed_I is not None:
            allowed = self._on_device(checked_allowed(allowed_I, self._size))
            allowed_count = int(np.count_nonzero(allowed_I))
        reach = min(count, allowed_count)
        row_QC = np.empty((len(query_QD), reach), np.int64)
        score_QC = np.empty((len(query_QD), reach), np.float32)
        for start in range(0, len(query_QD) if reach else 0, self._queries_at_once):
            part = slice(start, start + self._queries_at_once)
            fetched_count = min(reach + 1, self._size)
            with using_the_gpu():
                row_QC[part], score_QC[part] = self._best(query_QD[part], allowed, reach, fetched_count)
        return padded_hits(row_QC, score_QC, count, SearchPlan.SCAN)

    def _best(
        self, query_QD: FloatArray, allowed: ort.OrtValue, reach: int, fetched_count: int
    ) -> tuple[IntArray, FloatArray]:
        """Rows and scores [Q, ``reach``], at most as many as are allowed; of ``fetched_count`` a device decides."""
        fetched_row_QF, fetched_score_QF = in_gpu_thread(self._fetch, query_QD, allowed, fetched_count)
        row_QF, score_QF = best_rows(fetched_row_QF, fetched_score_QF, fetched_count)
        row_QC, score_QC = row_QF[:, :reach], score_QF[:, :reach]
        undecided_Q = score_QC[:, -1] == score_QF[:, -1]
        if fetched_count < self._size and undecided_Q.any():
            row_QC[undecided_Q], score_QC[undecided_Q] = self._best(
                query_QD[undecided_Q], allowed, reach, min(2 * fetched_count, self._size)
            )
        return row_QC, score_QC

    def _fetch(self, query_QD: FloatArray, allowed: ort.OrtValue, count: int) -> tuple[IntArray, FloatArray]:
        """Run the graph: rows and scores [Q, ``count``], best first."""
        binding = self._session.io_binding()
        binding.bind_ortvalue_input("items_ID", self._items)
        binding.bind_ortvalue_input("allowed_I", allowed)
        at_hand = self._handover.find(query_QD)
        if at_hand is None:
            missing = power_of_two(len(query_QD)) - len(query_QD)
            binding.bind_cpu_input("query_QD", np.pad(query_QD, ((0, missing), (0, 0))))
        else:
            # All that is there: the encoder has padded its batch likewise.
            place, shape_QD = self._place, (int(np.prod(at_hand.shape()[:-1])), self._dimension)
            binding.bind_input("query_QD", place.device_type, place.device_id, np.float32, shape_QD, at_hand.data_ptr())
        binding.bind_cpu_input("count", np.array([count], np.int64))
        binding.bind_output("row_QC", "cpu")
        binding.bind_output("score_QC", "cpu")
        self._session.run_with_iobinding(binding)
        row_QC, score_QC = (output.numpy()[: len(query_QD)] for output in binding.get_outputs())
        return row_QC, score_QC

    def _on_device(self, array: FloatArray | BoolArray) -> ort.OrtValue:
        """A copy on a GPU; on the CPU the array itself."""
        return ort.OrtValue.ortvalue_from_numpy(
            np.ascontiguousarray(array), self._place.device_type, self._place.device_id
        )
