"""A dataset of `solve_grid` as a solution that can be asked for densities, moments and, in 1-D, the map."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.interpolate import RegularGridInterpolator

from ..errors import InputError
from .solution import Array, Solution, points, time

ORDER = 2
"""Of the grid schemes, and of the interpolation between cell centres."""


class GridSolution(Solution):
    """ρ_t of a grid dataset, known at its output times only.

    The density is the (bi)linear interpolant of the cell averages, with a rim of empty cells around the box:
    its mass is the grid's, 1, which the L1 distance relies on, and it is never negative. `coarse` is the same
    problem on half the cells, from which the grid's own error is known.

    Raises `InputError` for a dataset without `density(time, x[, y])`, and at times that it does not hold.
    """

    def __init__(self, dataset: xr.Dataset, coarse: xr.Dataset | None = None) -> None:
        for name, part in {"dataset": dataset, "coarse": coarse}.items():
            if part is not None and not {"density", "mean", "covariance"} <= set(part.data_vars):
                raise InputError(f"{name} must be a dataset of solve_grid, got the variables {sorted(map(str, part))}")
        self.dataset = dataset
        self.names = tuple(str(name) for name in dataset["density"].dims[1:])
        self.dim = len(self.names)
        self._coarse = None if coarse is None else GridSolution(coarse)

    @property
    def times(self) -> Array:
        """The output times, (number of times,)."""
        return self.dataset["time"].values

    def holds(self, t: float) -> bool:
        """Whether t is an output time, to 1e-9 relative."""
        return bool(np.isclose(self.times, t, rtol=1e-9, atol=1e-12).any())

    def _at(self, name: str, t: float) -> Array:
        if not self.holds(time(t)):
            raise InputError(f"the grid solution holds the times {self.times.tolist()}, not t={t!r}")
        return self.dataset[name].values[int(np.abs(self.times - t).argmin())]

    def mean(self, t: float) -> Array:
        return self._at("mean", t)

    def covariance(self, t: float) -> Array:
        return self._at("covariance", t)

    def energy(self, t: float) -> float:
        return float(self._at("energy", t))

    def density(self, t: float, x: ArrayLike) -> Array:
        density = np.pad(self._at("density", t), 1)
        axes = [_extended(self.dataset[name].values) for name in self.names]
        inside = RegularGridInterpolator(axes, density, bounds_error=False, fill_value=0.0)
        return np.maximum(inside(self._points(x)), 0.0)

    def log_density(self, t: float, x: ArrayLike) -> Array:
        density = self.density(t, x)
        return np.log(density, out=np.full(density.shape, -np.inf), where=density > 0)

    def flow_map(self, t: float, z: ArrayLike) -> Array:
        """In 1-D the monotone map from the density at t = 0; more dimensions do not tell a map.

        Raises `NotImplementedError` there, and where the dataset does not hold t = 0.
        """
        if self.dim != 1 or not self.holds(0.0):
            raise NotImplementedError("a grid tells the map only in 1-D, and from t = 0")
        level = np.interp(points("z", z, 1)[:, 0], self._edges, self._levels(0.0))
        return np.interp(level, self._levels(t), self._edges)[:, None]

    @property
    def _edges(self) -> Array:
        extended = _extended(self.dataset["x"].values)
        return 0.5 * (extended[1:] + extended[:-1])

    def _levels(self, t: float) -> Array:
        """The share of mass below each edge of a cell."""
        below = np.concatenate([[0.0], np.cumsum(self._at("density", t))])
        return below / below[-1]

    def error(self, t: float) -> float:
        """An estimate of the L1 error of the grid and its interpolation: |ρ_N − ρ_{N/2}|/3, second order. NaN
        where no coarse grid was given. (Where a front lowers the order to 1.6, it is 1.5 times as large.)"""
        if self._coarse is None:
            return float("nan")
        centres, volume = self._centres()
        gap = self._at("density", t).ravel() - self._coarse.density(t, centres)
        return float(np.abs(gap).sum() * volume / (2**ORDER - 1))

    def _centres(self) -> tuple[Array, float]:
        axes: list[Any] = [self.dataset[name].values for name in self.names]
        grid = np.stack([part.ravel() for part in np.meshgrid(*axes, indexing="ij")], axis=1)
        return grid, float(np.prod([axis[1] - axis[0] for axis in axes]))


def _extended(axis: Array) -> Array:
    """Equally spaced numbers with one more at either end."""
    width = axis[1] - axis[0]
    return np.concatenate([[axis[0] - width], axis, [axis[-1] + width]])
