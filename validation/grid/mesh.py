"""The uniform box mesh: cells, cell averages, and the checks of what the user gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, positive_int, real
from .terms import evaluate

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mesh:
    """A box [low, high] in 1 or 2 dimensions, cut into `cells` equal cells along each axis."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    cells: tuple[int, ...]

    @property
    def dim(self) -> int:
        return len(self.cells)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Cell widths, one an axis."""
        return tuple((b - a) / n for a, b, n in zip(self.low, self.high, self.cells, strict=True))

    @property
    def volume(self) -> float:
        """The volume of a cell."""
        return float(np.prod(self.spacing))

    @property
    def axes(self) -> tuple[Array, ...]:
        """Cell centres along each axis."""
        return tuple(
            a + h * (np.arange(n, dtype=float) + 0.5)
            for a, h, n in zip(self.low, self.spacing, self.cells, strict=True)
        )

    def points(self) -> Array:
        """Cell centres, (number of cells, dim), in C order of the cells."""
        return np.stack([g.ravel() for g in np.meshgrid(*self.axes, indexing="ij")], axis=1)

    def sample(self, name: str, function: Callable[[Array], Array]) -> Array:
        """A user's function at the cell centres, in the shape of the mesh."""
        return evaluate(name, function, self.points()).reshape(self.cells)

    def against(self, velocity: Callable[[Array], Array]) -> list[Array]:
        """−h b·n on the inner faces, for every axis, from a user's b at the cell centres."""
        b = evaluate("b", velocity, self.points(), vector=True).reshape(*self.cells, self.dim)
        middles = []
        for axis, h in enumerate(self.spacing):
            along = np.moveaxis(b[..., axis], axis, 0)
            middles.append(np.moveaxis(-0.5 * h * (along[1:] + along[:-1]), 0, axis))
        return middles

    def averages(self, name: str, function: Callable[[Array], Array]) -> Array:
        """Cell averages of a user's function, in the shape of the mesh.

        Gauss–Legendre with 4 points a cell and axis, and with 32 in the cells where 3 points do not agree
        with it to 1e-7 of the largest average, such as those that a front crosses.
        """
        centres = self.points()
        averages = self._quadrature(name, function, centres, 4)
        doubt = np.abs(averages - self._quadrature(name, function, centres, 3)) > 1e-7 * np.abs(averages).max()
        averages[doubt] = self._quadrature(name, function, centres[doubt], 32)
        return averages.reshape(self.cells)

    def _quadrature(self, name: str, function: Callable[[Array], Array], centres: Array, order: int) -> Array:
        nodes, weights = np.polynomial.legendre.leggauss(order)
        total = np.zeros(len(centres))
        for index in np.ndindex(*(order,) * self.dim) if len(centres) else ():
            offset = np.array([0.5 * h * nodes[i] for h, i in zip(self.spacing, index, strict=True)])
            weight = float(np.prod([0.5 * weights[i] for i in index]))
            total += weight * evaluate(name, function, centres + offset)
        return total


def make_mesh(box: Any, cells: Any) -> Mesh:
    """A mesh from a list of d pairs and an int or d ints. Raises `InputError` unless d is 1 or 2."""
    try:
        pairs = [(real("box", low), real("box", high)) for low, high in box]
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"box must be a list of d pairs (low, high), got {box!r}") from None
    if len(pairs) not in (1, 2):
        raise InputError(f"the grid solver works in 1 and 2 dimensions, the box has {len(pairs)}")
    for low, high in pairs:
        if not low < high:
            raise InputError(f"box must be pairs low < high, got {box!r}")
    counts = [cells] * len(pairs) if np.ndim(cells) == 0 else list(cells)
    if len(counts) != len(pairs):
        raise InputError(f"cells must be an int or {len(pairs)} ints for this box, got {cells!r}")
    checked = tuple(positive_int("cells", n) for n in counts)
    if min(checked) < 8:
        raise InputError(f"cells must be at least 8 along each axis, got {cells!r}")
    return Mesh(tuple(p[0] for p in pairs), tuple(p[1] for p in pairs), checked)


def cell_averages(function: Callable[[Array], Array], box: Any, cells: Any) -> Array:
    """Cell averages of a function (N, d) → (N,) on the mesh of `solve_grid`, in the shape of the mesh.

    Raises `InputError` for a bad box or function.
    """
    return make_mesh(box, cells).averages("function", function)


def coarsen(field: Array, factor: int) -> Array:
    """The cell averages of a field on the mesh with `factor` times fewer cells along each axis."""
    for axis in range(field.ndim):
        shape = list(field.shape)
        shape[axis : axis + 1] = [shape[axis] // factor, factor]
        field = field.reshape(shape).mean(axis + 1)
    return field


def output_times(times: Sequence[float] | ArrayLike) -> Array:
    """times as a float vector, finite, >= 0 and strictly increasing, else an `InputError`."""
    clock = np.asarray(times, dtype=float)
    if clock.ndim != 1 or clock.size == 0 or not np.isfinite(clock).all():
        raise InputError(f"times must be a non-empty vector of finite numbers, got {times!r}")
    if clock[0] < 0 or (np.diff(clock) <= 0).any():
        raise InputError(f"times must be >= 0 and strictly increasing, got {times!r}")
    return clock
