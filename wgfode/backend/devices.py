"""Over how many devices the points of a flow are split, and what is then asked of a sum over points.

Expectations over points are sums over points: each device holds some of the points, and all of θ. The mathematics says
where a sum over points ends (`total`), where θ meets points (`shared`), and where each point asks for all of them
(`gathered`). On one device there is nothing to do, and nothing to do either where a compiler splits a program that
is written for all points (jax); where each process runs the program on its own points (torch) these are the
places at which processes speak to each other.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

Array = Any
T = TypeVar("T")


class Devices:
    """One device, which holds all points."""

    count = 1
    """The number of devices that the points are split over."""
    first = True
    """Whether this process is the one that writes files and speaks to the user."""
    processes = 1
    """The number of processes that make one run together."""

    def part(self, z: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What this process keeps of points (N, d) and weights (N,), on the host.

        Where the devices do not divide N, the last point is repeated with weight 0.
        """
        return z, weights

    def whole(self, values: np.ndarray, count: int) -> np.ndarray:
        """The values (count, …) at all points, of this process's at its own."""
        return values

    def total(self, value: Array) -> Array:
        """The sum over all points, of this process's sum over its own."""
        return value

    def shared(self, tree: Any) -> Any:
        """θ or args, where they meet points: their derivative is a sum over all points."""
        return tree

    def same(self, value: Any) -> Any:
        """A number made of what is `shared`, and of no point: what is made of it is no sum over points."""
        return value

    def gathered(self, values: Array) -> Array:
        """The values (N, …) at all points, on every device, of those at its own."""
        return values

    def own(self, values: Array) -> Array:
        """The reverse of `gathered`."""
        return values

    def blocks(self, rows: int, *arrays: Array) -> Iterator[tuple[Array, ...]]:
        """Arrays (N, …) at the points in blocks of at most `rows` points of a device."""
        for begin in range(0, len(arrays[0]), rows):
            yield tuple(array[begin : begin + rows] for array in arrays)

    def agreed(self, make: Callable[[], T]) -> T:
        """`make()` of the first process, on all; what it raises is raised on all."""
        return make()


def agreed(first: bool, make: Callable[[], T], told: Callable[[bytes], bytes]) -> T:
    """`make()` where this is the `first` process, and what that made or raised where not; `told` sends the bytes."""
    found: tuple[Any, Exception | None] = (None, None)
    if first:
        try:
            found = make(), None
        except Exception as error:
            found = None, error
    value, raised = pickle.loads(told(pickle.dumps(found)))
    if raised is not None:
        raise raised
    return value


def padded(count: int, z: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """z (N, d) and weights (N,) with N a multiple of `count`: the last point is repeated with weight 0."""
    missing = -len(z) % count
    if not missing:
        return z, weights
    return np.concatenate([z, np.repeat(z[-1:], missing, axis=0)]), np.concatenate([weights, np.zeros(missing)])
