"""The processes that train one model together: torchrun starts them and gives each a rank.

Every rank draws the same batches and takes its share of each. A mean over a batch is made of ``total`` sums, which are
those of the whole batch in value and those of the own share in gradient: gradients that are summed over the ranks are
then exactly those of the whole batch, also where the loss is no plain mean over examples.

In a process that torchrun has not started all of this does nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

from unbraid_core.errors import Unavailable

__all__ = [
    "first_then_others",
    "from_first",
    "is_first",
    "joined",
    "rank",
    "rank_count",
    "same",
    "share_start",
    "sum_gradients",
    "total",
    "whole",
]

T = TypeVar("T")

# Both at once: tensors meet on their device, and objects on the CPU.
BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}

# The others wait this long while the first one validates. A process that ends is noticed at once all the same.
PATIENCE = timedelta(hours=6)


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Within this context the processes that torchrun has started work together.

    Raises:
        Unavailable: another one of them ended before this one.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    with _together():
        distributed.init_process_group(BACKENDS[device.type], timeout=PATIENCE)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def rank() -> int:
    """The number of this process, from 0."""
    return distributed.get_rank() if _distributed() else 0


def rank_count() -> int:
    """How many processes train the model."""
    return distributed.get_world_size() if _distributed() else 1


def is_first() -> bool:
    """Whether this is the process that reads and writes the folder of the run, and shows progress."""
    return rank() == 0


def from_first(make: Callable[[], T]) -> T:
    """What the first rank makes, on all ranks; the others wait for it."""
    if not _distributed():
        return make()
    made = [make() if is_first() else None]
    with _together():
        distributed.broadcast_object_list(made)
    value: T = made[0]  # type: ignore[assignment]  # only until the first rank has filled it in
    return value


def first_then_others(make: Callable[[], T]) -> T:
    """Make something on every rank, but on the first before the others: if it fails there, it fails once."""
    if not _distributed():
        return make()
    made = make() if is_first() else None
    with _together():
        distributed.barrier()
    return make() if made is None else made


def total(own: Tensor) -> Tensor:
    """The sum over all ranks; its gradient is that of this rank's part."""
    if not _distributed():
        return own
    sum_of_all = own.detach().clone()
    with _together():
        distributed.all_reduce(sum_of_all)
    return own + (sum_of_all - own.detach())


def whole(own_B: Tensor, example_count: int) -> Tensor:
    """The rows of all ranks in the order of the batch that they share; the gradient is that of this rank's rows."""
    if not _distributed():
        return own_B
    number_B = own_B.to(torch.uint8) if own_B.dtype == torch.bool else own_B
    all_B = number_B.new_zeros((example_count, *own_B.shape[1:]))
    all_B[rank() :: rank_count()] = number_B
    return total(all_B).to(own_B.dtype)


def same(own: Tensor) -> Tensor:
    """What the first rank has drawn, on all of them."""
    if _distributed():
        with _together():
            distributed.broadcast(own, src=0)
    return own


def share_start(model: nn.Module) -> None:
    """Give all ranks the parameters and buffers of the first."""
    if not _distributed():
        return
    with _together():
        for tensor in model.state_dict().values():
            distributed.broadcast(tensor, src=0)


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by the sum over all ranks."""
    if not _distributed():
        return
    with _together():
        for parameter in parameters:
            if parameter.grad is not None:
                distributed.all_reduce(parameter.grad)


def _distributed() -> bool:
    return distributed.is_available() and distributed.is_initialized()


@contextmanager
def _together() -> Iterator[None]:
    """Within this context, a rank that is gone is an error that says so."""
    try:
        yield
    except RuntimeError as error:
        cause = str(error).partition(". ")[0].partition("\n")[0]
        raise Unavailable(
            f"another process of this training has ended: see its message, then start all of them again ({cause})"
        ) from None
