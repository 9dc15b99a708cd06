"""A user encoder on a GPU: at few shapes, through buffers that stay where they are.

A GPU pays for every shape that it has not seen: kernels are chosen, memory is found, engines are built and graphs
recorded for it. So histories are padded to a length of a short ladder, and batches to a power of two.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import onnxruntime as ort

from unbraid_core.release import EncoderSpec
from unbraid_core.types import FloatArray, HistoryBatch, IntArray, InterestBatch
from unbraid_server.device_options import ShapeRange
from unbraid_server.encoder_ports import OUTPUTS, fed
from unbraid_server.gpu_thread import in_gpu_thread
from unbraid_server.handover import Handover
from unbraid_server.onnx_session import using_the_gpu

__all__ = ["LARGEST_BATCH", "BucketedEncoder", "Place", "bucket_length", "power_of_two", "shape_ranges"]

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
LARGEST_BATCH = BATCH_SIZES[-1]
"""Histories that are encoded at once; larger batches are cut."""
SHORTEST = 16


@dataclass(frozen=True, slots=True)
class Place:
    """Where memory lies: cuda and the number of the GPU, or cpu."""

    device_type: str
    device_id: int = 0


class BucketedEncoder:
    """Runs the session of an encoder behind the Encoder port. Safe to call from several threads at once.

    Batches are encoded one after the other, in the thread that is there for a GPU. Each shape has buffers of its own on
    the device, made when it comes first: inputs are copied into them, and answers out of the device, cut back to the
    size that was asked for.

    Args:
        session: with the inputs and outputs of an encoder.
        spec: its sizes.
        place: where the session wants its inputs and leaves its outputs.
        graphs: whether the session records CUDA graphs, which always write to the same outputs.

    Attributes:
        handover: the interests of the newest batch, still on the device; with CUDA graphs it stays empty.
    """

    def __init__(self, session: ort.InferenceSession, spec: EncoderSpec, place: Place, *, graphs: bool = False) -> None:
        self._session = session
        self._spec = spec
        self._place = place
        self._buffers: dict[tuple[int, int], _Buffers] = {}
        self._graphs = graphs
        self.handover = Handover()

    def encode(self, batch: HistoryBatch) -> InterestBatch:
        """See the Encoder port."""
        with using_the_gpu():
            parts = [self._encode_part(part) for part in _parts(batch)]
        if len(parts) == 1:
            return parts[0]
        return InterestBatch(
            np.concatenate([part.vectors_BKD for part in parts]),
            np.concatenate([part.assignment_BKL for part in parts]),
        )

    def warm_up(self) -> None:
        """Encode a batch of every shape, so that no call has to wait for one that is new."""
        longest = self._spec.max_history
        lengths = {bucket_length(length, longest) for length in range(1, longest + 1)}
        for size, length in product(BATCH_SIZES, sorted(lengths)):
            self._encode_part(
                HistoryBatch(
                    item_vectors_BLD=np.ones((size, length, self._spec.dimension), np.float32),
                    age_s_BL=np.zeros((size, length), np.float32),
                    action_BL=np.zeros((size, length), np.int64),
                    mask_BL=np.ones((size, length), np.bool_),
                )
            )

    def _encode_part(self, batch: HistoryBatch) -> InterestBatch:
        padded = _padded(batch, self._spec.max_history)
        vectors_BKD, assignment_BKL, interests = in_gpu_thread(self._run, padded)
        size, length = batch.mask_BL.shape
        vectors_BKD = vectors_BKD[:size]
        if not self._graphs:
            vectors_BKD.flags.writeable = False
            self.handover.leave(vectors_BKD.reshape(-1, self._spec.dimension), interests)
        return InterestBatch(vectors_BKD, assignment_BKL[:size, :, :length])

    def _run(self, batch: HistoryBatch) -> _Answer:
        shape_BL = batch.mask_BL.shape
        buffers = self._buffers.get(shape_BL)
        if buffers is None:
            buffers = _Buffers(batch, self._session, self._place, number=len(self._buffers) + 1)
            if self._graphs:
                buffers.keep_outputs(self._spec)
            self._buffers[shape_BL] = buffers
        return buffers.run(batch)


class _Answer(NamedTuple):
    """Both outputs on the host, and the first one on the device."""

    vectors_BKD: FloatArray
    assignment_BKL: FloatArray
    interests: ort.OrtValue


class _Buffers:
    """Memory on the device for batches of one shape, and what binds it to the session.

    Args:
        batch: of this shape.
        session: that will run.
        place: where.
        number: tells the CUDA graphs of shapes apart.
    """

    def __init__(self, batch: HistoryBatch, session: ort.InferenceSession, place: Place, number: int) -> None:
        self._session = session
        self._place = place
        self._shape_BL = batch.mask_BL.shape
        self._binding = session.io_binding()
        self._inputs = {name: self._room(array.shape, array.dtype.type) for name, array in fed(batch).items()}
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        self._outputs_stay = False
        self._run_options = ort.RunOptions()
        self._run_options.add_run_config_entry("gpu_graph_id", str(number))

    def keep_outputs(self, spec: EncoderSpec) -> None:
        """Write every answer to the same memory, as CUDA graphs do."""
        size, length = self._shape_BL
        interests = self._room((size, spec.interest_count, spec.dimension), np.float32)
        assignment = self._room((size, spec.interest_count, length), np.float32)
        self._binding.bind_ortvalue_output("interests", interests)
        self._binding.bind_ortvalue_output("assignment", assignment)
        self._outputs_stay = True

    def run(self, batch: HistoryBatch) -> _Answer:
        """Encode a batch of exactly this shape."""
        for name, array in fed(batch).items():
            self._inputs[name].update_inplace(array)
        if not self._outputs_stay:
            # Binding them again is what makes ONNX Runtime take new memory.
            for name in OUTPUTS:
                self._binding.bind_output(name, self._place.device_type, self._place.device_id)
        self._session.run_with_iobinding(self._binding, self._run_options)
        interests, assignment = self._binding.get_outputs()
        # A copy: on the CPU ``numpy`` gives a view.
        return _Answer(np.array(interests.numpy()), np.array(assignment.numpy()), interests)

    def _room(self, shape: tuple[int, ...], element_type: type[np.generic]) -> ort.OrtValue:
        place = self._place
        return ort.OrtValue.ortvalue_from_shape_and_type(shape, element_type, place.device_type, place.device_id)


def bucket_length(length: int, max_history: int) -> int:
    """The length that a history is padded to: 16, 32, 64 and so on, and ``max_history`` instead of more."""
    bucket = max(SHORTEST, power_of_two(length))
    return min(bucket, max_history) if length <= max_history else bucket


def shape_ranges(spec: EncoderSpec) -> dict[str, ShapeRange]:
    """All shapes that the inputs of an encoder come in."""
    shortest = bucket_length(1, spec.max_history)

    def of(*further: int) -> ShapeRange:
        return ShapeRange((1, shortest, *further), (LARGEST_BATCH, spec.max_history, *further))

    return {"item_vectors": of(spec.dimension), "age": of(), "action": of(), "mask": of()}


def power_of_two(count: int) -> int:
    """The least that is no less than ``count``, which is at least 1."""
    return 1 << (count - 1).bit_length()


def _parts(batch: HistoryBatch) -> list[HistoryBatch]:
    return [
        HistoryBatch(
            batch.item_vectors_BLD[start : start + LARGEST_BATCH],
            batch.age_s_BL[start : start + LARGEST_BATCH],
            batch.action_BL[start : start + LARGEST_BATCH],
            batch.mask_BL[start : start + LARGEST_BATCH],
        )
        for start in range(0, len(batch.mask_BL), LARGEST_BATCH)
    ]


def _padded(batch: HistoryBatch, max_history: int) -> HistoryBatch:
    """Events that the mask leaves out behind every history, and the last history again behind the others."""
    size, length = batch.mask_BL.shape
    missing = bucket_length(length, max_history) - length
    row_B: IntArray = np.minimum(np.arange(power_of_two(size)), size - 1)
    return HistoryBatch(
        np.pad(batch.item_vectors_BLD[row_B], ((0, 0), (0, missing), (0, 0))),
        np.pad(batch.age_s_BL[row_B], ((0, 0), (0, missing))),
        np.pad(batch.action_BL[row_B], ((0, 0), (0, missing))),
        np.pad(batch.mask_BL[row_B], ((0, 0), (0, missing))),
    )
