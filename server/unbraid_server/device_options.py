"""How a GPU is used, once there is one: what operators can choose, and what ONNX Runtime is told in any case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

__all__ = [
    "CPU_PROVIDER",
    "CUDA_PROVIDER",
    "DEFAULT_OPTIONS",
    "TENSORRT_PROVIDER",
    "DeviceOptions",
    "ProviderOptions",
    "Retrieval",
    "ShapeRange",
    "provider_options",
]

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"
TENSORRT_PROVIDER = "TensorrtExecutionProvider"

ProviderOptions = Mapping[str, Mapping[str, str]]
"""Options of each execution provider of ONNX Runtime, by its name; the first one that can run a node does."""


class Retrieval(StrEnum):
    """What searches for items: the FAISS index on the CPU, or an exact comparison on the device of the encoder."""

    AUTO = "auto"
    INDEX = "index"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class DeviceOptions:
    """What operators choose besides the device itself.

    The defaults are for who does not serve but measures or tries a release: it is searched in its index on any machine.

    Attributes:
        gpu_id: which GPU, as CUDA counts them.
        gpu_memory_mb: what each session of ONNX Runtime may keep of its memory; None sets no limit.
        cuda_graphs: replay the kernels of the encoder as recorded graphs, one for each shape.
        tensorrt_cache: folder of engines; with one, TensorRT runs what it can of the encoder.
        retrieval: what searches for items.
    """

    gpu_id: int = 0
    gpu_memory_mb: int | None = None
    cuda_graphs: bool = False
    tensorrt_cache: Path | None = None
    retrieval: Retrieval = Retrieval.INDEX


DEFAULT_OPTIONS = DeviceOptions()


@dataclass(frozen=True, slots=True)
class ShapeRange:
    """The smallest and the largest shape of an input that an engine of TensorRT has to take."""

    smallest: tuple[int, ...]
    largest: tuple[int, ...]


def provider_options(
    providers: Sequence[str], options: DeviceOptions, shapes: Mapping[str, ShapeRange] | None = None
) -> ProviderOptions:
    """Everything that ONNX Runtime is told about execution providers.

    Args:
        providers: names, in order.
        options: what the operator chose.
        shapes: of every input of the graph. TensorRT builds one engine for all of them; without, it would build
            another one, which takes many seconds, whenever a shape comes that is larger than all before.
    """
    of_provider = {
        CPU_PROVIDER: dict[str, str](),
        CUDA_PROVIDER: _cuda(options),
        TENSORRT_PROVIDER: _tensorrt(options, shapes or {}),
    }
    return {name: of_provider[name] for name in providers}


def _cuda(options: DeviceOptions) -> dict[str, str]:
    chosen = {
        "device_id": str(options.gpu_id),
        # Shapes repeat, so what the first calls asked for is all that is ever needed; the default doubles it.
        "arena_extend_strategy": "kSameAsRequested",
        # The default tries every algorithm for each new shape of a convolution, in the call that brings it.
        "cudnn_conv_algo_search": "HEURISTIC",
        "do_copy_in_default_stream": "1",
        # The default rounds what is multiplied to 10 bits: no answer would be that of the CPU, which was checked.
        "use_tf32": "0",
    }
    if options.gpu_memory_mb is not None:
        chosen["gpu_mem_limit"] = str(options.gpu_memory_mb * 2**20)
    if options.cuda_graphs:
        chosen["enable_cuda_graph"] = "1"
    return chosen


def _tensorrt(options: DeviceOptions, shapes: Mapping[str, ShapeRange]) -> dict[str, str]:
    chosen = {
        "device_id": str(options.gpu_id),
        "trt_fp16_enable": "0",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(options.tensorrt_cache),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(options.tensorrt_cache),
    }
    if shapes:
        smallest = _profile({name: shape.smallest for name, shape in shapes.items()})
        largest = _profile({name: shape.largest for name, shape in shapes.items()})
        chosen |= {
            "trt_profile_min_shapes": smallest,
            "trt_profile_opt_shapes": largest,
            "trt_profile_max_shapes": largest,
        }
    return chosen


def _profile(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """As ``name:2x3,name:4`` of TensorRT's options."""
    return ",".join(f"{name}:{'x'.join(map(str, shape))}" for name, shape in shapes.items())
