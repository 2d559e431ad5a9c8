"""Points split over a mesh of jax devices: the compiler splits the program, which is written for all points."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np
from jax import lax
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ..errors import InputError, positive_int
from .devices import Devices, agreed, padded

Array = Any
T = TypeVar("T")

POINTS = "points"
"""The axis of the mesh."""


class MeshDevices(Devices):
    """The devices of a `Mesh` of one axis, of one process or of several (`jax.distributed`)."""

    def __init__(self, mesh: Mesh):
        self.mesh, self.count = mesh, mesh.size
        self.by_points = NamedSharding(mesh, PartitionSpec(*mesh.axis_names))
        self.everywhere = NamedSharding(mesh, PartitionSpec())
        self.processes, self.first = jax.process_count(), jax.process_index() == 0

    def part(self, z: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return padded(self.count, z, weights)

    def whole(self, values: np.ndarray, count: int) -> np.ndarray:
        return values[:count]

    def gathered(self, values: Array) -> Array:
        return self.put(values, self.everywhere)

    def own(self, values: Array) -> Array:
        return self.put(values, self.by_points)

    def put(self, array: Array, sharding: NamedSharding) -> Array:
        """`array`, the same in every process, laid out as `sharding` says."""
        if isinstance(array, jax.core.Tracer):
            return lax.with_sharding_constraint(array, sharding)
        if self.processes == 1 or not getattr(array, "is_fully_addressable", True):
            return jax.device_put(array, sharding)
        local = np.asarray(array)
        return jax.make_array_from_callback(local.shape, sharding, lambda index: local[index])

    def on_host(self, array: Array) -> np.ndarray:
        """`array` whole, in every process."""
        if self.processes > 1 and not array.is_fully_addressable and not array.is_fully_replicated:
            return multihost_utils.process_allgather(array, tiled=True)
        return np.asarray(array)

    def blocks(self, rows: int, *arrays: Array) -> Iterator[tuple[Array, ...]]:
        laid = [self.apart(array) for array in arrays]
        for begin in range(0, laid[0].shape[1], rows):
            yield tuple(self.together(array[:, begin : begin + rows]) for array in laid)

    def apart(self, values: Array) -> Array:
        """(N, …) → (devices, N/devices, …), each device's own: a cut of the second axis takes as much from each."""
        return self.own(values.reshape((self.count, -1, *values.shape[1:])))

    def together(self, values: Array) -> Array:
        """The reverse of `apart`."""
        return self.own(values.reshape((-1, *values.shape[2:])))

    def by_rows(self, f: Callable[[Array], Array], x: Array, rows: int) -> Array:
        """f(x), row by row, at most `rows` of a device at a time."""
        if rows * self.count >= x.shape[0]:
            return f(x)

        one_of_each = jax.checkpoint(f)  # reverse mode would otherwise keep every block's intermediates
        turned = lax.map(one_of_each, self.apart(x).swapaxes(0, 1), batch_size=max(rows, 1))
        return self.together(turned.swapaxes(0, 1))

    def locally(self, f: Callable[[Array], Any], x: Array) -> Any:
        """f(x) row by row, each device's rows in a program of its own."""
        if x.shape[0] % self.count:
            return f(x)
        spec = self.by_points.spec
        return jax.shard_map(f, mesh=self.mesh, in_specs=spec, out_specs=spec)(x)

    def agreed(self, make: Callable[[], T]) -> T:
        if self.processes == 1:
            return make()
        return agreed(self.first, make, _told)


def _told(content: bytes) -> bytes:
    """`content` of the first process, on all."""
    length = int(multihost_utils.broadcast_one_to_all(np.asarray(len(content))))
    room = np.zeros(length, np.uint8)
    room[: len(content)] = np.frombuffer(content, np.uint8)[:length]
    return np.asarray(multihost_utils.broadcast_one_to_all(room)).tobytes()


def mesh_of(devices: Any) -> Mesh:
    """A mesh of one axis as it is, or one of the first `devices` that jax has; `InputError` where it has fewer."""
    if isinstance(devices, Mesh):
        if len(devices.axis_names) != 1:
            raise InputError(f"mesh must have one axis, that of the points, got {devices}")
        return devices
    devices, there = positive_int("devices", devices), jax.devices()
    if devices > len(there) or (jax.process_count() > 1 and devices != len(there)):
        raise InputError(
            f"devices={devices}, and jax has {len(there)} ({there[0].platform}) in {jax.process_count()} processes, "
            "which all take part: on the CPU, XLA_FLAGS=--xla_force_host_platform_device_count=N makes N of it before "
            "jax is imported"
        )
    return Mesh(np.array(there[:devices]), (POINTS,), axis_types=(AxisType.Auto,))
