"""Sessions of ONNX Runtime: one thread a call, and inputs and outputs that are those of the contract."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from unbraid_core.errors import DeviceUnavailable, IncompatibleError, Unavailable
from unbraid_server.device_options import CUDA_PROVIDER, ProviderOptions

__all__ = ["INTRA_OP_THREADS", "Ports", "check_ports", "open_session", "taking_the_gpu", "using_the_gpu"]

INTRA_OP_THREADS = 1
ERROR_SEVERITY = 3

LOAD_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)

# What ONNX Runtime raises where memory of a GPU, a kernel or the whole provider cannot be had.
GPU_ERRORS = (RuntimeError, ort_errors.EPFail, ort_errors.Fail, ort_errors.RuntimeException)

# How ONNX Runtime words what CUDA and its libraries say, among names of functions and files.
GPU_FAILURE = re.compile(r"\w+ failure \d+: [^;]*[^;\s]")

# The element type and the axes of each input or output, one letter for each axis.
Ports = Mapping[str, tuple[str, str]]


def open_session(path: Path, providers: ProviderOptions) -> ort.InferenceSession:
    """Load a verified ONNX file.

    One call uses one thread: calls run side by side, and threads inside a call cost more than they give. A call that
    fails on a GPU fails; ONNX Runtime would go on with the CPU.

    Args:
        path: of the file.
        providers: with their options, in order.

    Raises:
        DeviceUnavailable: the provider of a GPU cannot start. Where its library does not load, it is left out instead
            without an error: the session says which providers it has.
        IncompatibleError: not a model that this ONNX Runtime can run.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = INTRA_OP_THREADS
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if CUDA_PROVIDER in providers:
        ort.preload_dlls()
        # Below an error it has only news of plug-ins, in colours, between the lines of the server's log.
        ort.set_default_logger_severity(ERROR_SEVERITY)
    with taking_the_gpu(path.name):
        try:
            return ort.InferenceSession(
                path,
                options,
                providers=list(providers),
                provider_options=[dict(each) for each in providers.values()],
                # ONNX Runtime would say on stdout that a provider failed, and go on with the next one.
                enable_fallback=False,
            )
        except LOAD_ERRORS as error:
            if GPU_FAILURE.search(str(error)):
                raise
            raise IncompatibleError(f"{path.name}: ONNX Runtime cannot load it: {_reason(error)}") from None


@contextmanager
def taking_the_gpu(purpose: str) -> Iterator[None]:
    """Around the first use of a GPU for something.

    Raises:
        DeviceUnavailable: ONNX Runtime cannot have what it needs.
    """
    try:
        yield
    except GPU_ERRORS as error:
        raise DeviceUnavailable(f"device: the GPU cannot be used for {purpose}: {_reason(error)}") from None


@contextmanager
def using_the_gpu() -> Iterator[None]:
    """Around an answer of a GPU.

    Raises:
        Unavailable: it fails, because its memory is full, say; another server, or a later moment, may do better.
    """
    try:
        yield
    except GPU_ERRORS as error:
        raise Unavailable(f"the GPU could not answer: {_reason(error)}; ask again later") from None


def check_ports(name: str, kind: str, found: Sequence[ort.NodeArg], expected: Ports, sizes: Mapping[str, int]) -> None:
    """Compare the inputs or outputs of a graph with the contract.

    Args:
        name: of the file, for messages.
        kind: input or output.
        found: what the graph has.
        expected: what it has to have.
        sizes: of the axes that are fixed. A graph may leave an output open, but must not fix any other axis.

    Raises:
        IncompatibleError: a name, type or shape differs.
    """
    nodes = {node.name: node for node in found}
    if set(nodes) != set(expected):
        raise IncompatibleError(f"{name}: {kind}s are {sorted(nodes)}, expected {sorted(expected)}; export it again")
    for port, (element_type, axes) in expected.items():
        node = nodes[port]
        fits = node.type == element_type and len(node.shape) == len(axes)
        if not fits or not all(_size_fits(*each, sizes) for each in zip(node.shape, axes, strict=True)):
            promised = ", ".join(str(sizes.get(axis, axis)) for axis in axes)
            raise IncompatibleError(
                f"{name}: {kind} {port!r} is {node.type} {node.shape}, expected {element_type} [{promised}]; "
                "export it again"
            )


def _reason(error: Exception) -> str:
    """What went wrong, in a line."""
    failure = GPU_FAILURE.search(str(error))
    return failure[0] if failure else str(error).strip().splitlines()[0]


def _size_fits(size: int | str | None, axis: str, sizes: Mapping[str, int]) -> bool:
    """A size that is a number is that of the contract; one that stands for itself is left open."""
    if isinstance(size, int):
        return size == sizes.get(axis)
    return True
