"""Points split over the processes of `torch.distributed`: each runs the program on its own points."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch.utils import _pytree

from ..errors import InputError, ProcessError, positive_int
from .devices import Devices, agreed, padded

Array = Any
T = TypeVar("T")


class Processes(Devices):
    """The processes of a group, one device each; θ and all that follows from it is the same in each, bit by bit."""

    def __init__(self, group: Any):
        self.group = group
        self.count = self.processes = dist.get_world_size(group)
        self.rank = dist.get_rank(group)
        self.first = self.rank == 0

    def part(self, z: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        z, weights = padded(self.count, z, weights)
        each = len(z) // self.count
        here = slice(self.rank * each, (self.rank + 1) * each)
        return z[here], weights[here]

    def whole(self, values: np.ndarray, count: int) -> np.ndarray:
        found: list[Any] = [None] * self.count
        _spoken(lambda: dist.all_gather_object(found, values, group=self.group))
        return np.concatenate(found)[:count]

    def total(self, value: Array) -> Array:
        return _Total.apply(value, self.group)

    def shared(self, tree: Any) -> Any:
        return _pytree.tree_map_only(torch.Tensor, lambda leaf: _Shared.apply(leaf, self.group), tree)

    def same(self, value: Any) -> Any:
        return self.total(value / self.count) if isinstance(value, torch.Tensor) else value

    def gathered(self, values: Array) -> Array:
        before, after = self.rank, self.count - 1 - self.rank
        nothing = torch.zeros_like(values)
        # a sum in which every other process has 0: to the bit the values, and with the derivative of a sum
        return self.total(torch.cat([nothing] * before + [values] + [nothing] * after))

    def own(self, values: Array) -> Array:
        each = len(values) // self.count
        return self.shared(values)[self.rank * each : (self.rank + 1) * each]

    def agreed(self, make: Callable[[], T]) -> T:
        def told(content: bytes) -> bytes:
            held, source = [content], dist.get_process_group_ranks(self.group)[0]
            _spoken(lambda: dist.broadcast_object_list(held, src=source, group=self.group))
            return held[0]

        return agreed(self.first, make, told)


def group_of(devices: Any) -> Any:
    """The group of a `DeviceMesh` of one axis, or of the processes that torchrun started, which are to be `devices`.

    The first call joins these: by nccl where each has a GPU of its own, else by gloo. None for one process that nobody
    joined to others. Raises `InputError` where they are of another number.
    """
    if hasattr(devices, "get_group"):
        if devices.ndim != 1:
            raise InputError(f"mesh must have one axis, that of the points, got {devices!r}")
        return devices.get_group()
    devices = positive_int("devices", devices)
    there = int(os.environ.get("WORLD_SIZE", "1")) if not dist.is_initialized() else dist.get_world_size()
    if there != devices:
        raise InputError(
            f"devices={devices} takes as many processes with torch, and here it is {there}: start them by "
            f"torchrun --nproc-per-node {devices} …"
        )
    if devices == 1 and not dist.is_initialized():
        return None
    if not dist.is_initialized():
        local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        dist.init_process_group("nccl" if torch.cuda.device_count() >= local and dist.is_nccl_available() else "gloo")
    return dist.group.WORLD


def device_of(device: Any) -> Any:
    """The device of this process: with CUDA the one of its place on the machine, where none is said."""
    if device is not None and str(device) != "cuda":
        return device
    if device is None and dist.get_backend() != "nccl":
        return None
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def _spoken(exchange: Callable[[], Any]) -> None:
    """Do what takes every process; `ProcessError` where one of them is gone."""
    try:
        exchange()
    except (RuntimeError, dist.DistError) as error:
        reason = str(error).strip().partition("\n")[0]
        words = f"another process of the run is gone, and its part of the points with it ({reason})"
        raise ProcessError(words) from error


class _Total(torch.autograd.Function):
    """The sum of a tensor over the processes.

    What comes after is the same in every process, and one function of the sum: the derivative of each process's part
    is that of the sum, and never the sum of `count` equal derivatives.
    """

    @staticmethod
    def forward(value: Array, group: Any) -> Array:
        result = value.detach().clone(memory_format=torch.contiguous_format)
        _spoken(lambda: dist.all_reduce(result, group=group))
        return result

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Array) -> None:
        ctx.group = inputs[1]

    @staticmethod
    def jvp(ctx: Any, tangent: Array, *_: Any) -> Array:  # type: ignore[override]
        return _Total.apply(tangent, ctx.group)

    @staticmethod
    def backward(ctx: Any, cotangent: Array) -> tuple[Array, None]:  # type: ignore[override]
        return _Shared.apply(cotangent, ctx.group), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple, value: Array, group: Any) -> tuple[Array, int]:
        return _Total.apply(value, group), in_dims[0]


class _Shared(torch.autograd.Function):
    """A tensor that is the same in every process, where each goes on with its own points: the transpose of `_Total`."""

    @staticmethod
    def forward(value: Array, group: Any) -> Array:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Array) -> None:
        ctx.group = inputs[1]

    @staticmethod
    def jvp(ctx: Any, tangent: Array, *_: Any) -> Array:  # type: ignore[override]
        return _Shared.apply(tangent, ctx.group)

    @staticmethod
    def backward(ctx: Any, cotangent: Array) -> tuple[Array, None]:  # type: ignore[override]
        return _Total.apply(cotangent, ctx.group), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple, value: Array, group: Any) -> tuple[Array, int]:
        return _Shared.apply(value, group), in_dims[0]
