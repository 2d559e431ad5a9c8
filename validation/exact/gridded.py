"""A dataset of `solve_grid` as a solution that can be asked for densities, moments and, in 1-D, the map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline, PchipInterpolator, RectBivariateSpline

from ...errors import InputError
from .solution import Array, Solution, points, time

ORDER = 2
"""Of the grid schemes."""
FINE = 8
"""Quantiles that are tabulated a cell, for the map in 1-D."""


class GridSolution(Solution):
    """ρ_t of a grid dataset, known at its output times only.

    The density is reconstructed from the cell averages: the mixed derivative of the cubic spline through the
    masses [low, x] × [low, y] at the cells' corners, with a rim of empty cells around the box. So every cell has
    its mass and the interpolation is of higher order than the scheme; where a front makes it negative it is cut
    at 0. `coarse` is the same problem on half the cells, from which the grid's own error is known.

    Raises `InputError` for a dataset without `density(time, x[, y])`, and at times that it does not hold.
    """

    def __init__(self, dataset: xr.Dataset, coarse: xr.Dataset | None = None) -> None:
        for name, part in {"dataset": dataset, "coarse": coarse}.items():
            if part is not None and not {"density", "mean", "covariance"} <= set(part.data_vars):
                raise InputError(f"{name} must be a dataset of solve_grid, got the variables {sorted(map(str, part))}")
        self.dataset = dataset
        self.names = tuple(str(name) for name in dataset["density"].dims[1:])
        self.dim = len(self.names)
        self._edges = [_edges(dataset[name].values) for name in self.names]
        self._splines: dict[int, Callable[[Array], Array]] = {}
        self._coarse = None if coarse is None else GridSolution(coarse)

    @property
    def times(self) -> Array:
        """The output times, (number of times,)."""
        return self.dataset["time"].values

    def holds(self, t: float) -> bool:
        """Whether t is an output time, to 1e-9 relative."""
        return bool(np.isclose(self.times, t, rtol=1e-9, atol=1e-12).any())

    def _index(self, t: float) -> int:
        if not self.holds(time(t)):
            raise InputError(f"the grid solution holds the times {self.times.tolist()}, not t={t!r}")
        return int(np.abs(self.times - t).argmin())

    def _at(self, name: str, t: float) -> Array:
        return self.dataset[name].values[self._index(t)]

    def mean(self, t: float) -> Array:
        return self._at("mean", t)

    def covariance(self, t: float) -> Array:
        return self._at("covariance", t)

    def energy(self, t: float) -> float:
        if "energy" not in self.dataset:
            raise NotImplementedError("the flow has no energy")
        return float(self._at("energy", t))

    def density(self, t: float, x: ArrayLike) -> Array:
        x = self._points(x)
        i = self._index(t)
        if i not in self._splines:
            self._splines[i] = _derivative(self._edges, np.pad(self.dataset["density"].values[i], 1))
        inside = np.ones(len(x), dtype=bool)
        for axis, edges in enumerate(self._edges):
            inside &= (x[:, axis] >= edges[0]) & (x[:, axis] <= edges[-1])
        return np.where(inside, np.maximum(self._splines[i](x), 0.0), 0.0)

    def log_density(self, t: float, x: ArrayLike) -> Array:
        density = self.density(t, x)
        return np.log(density, out=np.full(density.shape, -np.inf), where=density > 0)

    def flow_map(self, t: float, z: ArrayLike) -> Array:
        """In 1-D the monotone map from the density at t = 0; more dimensions do not tell a map.

        Raises `NotImplementedError` there, and where the dataset does not hold t = 0.
        """
        if self.dim != 1 or not self.holds(0.0):
            raise NotImplementedError("a grid tells the map only in 1-D, and from t = 0")
        (edges, start), (_, now) = self._quantiles(0.0), self._quantiles(t)
        return np.interp(np.interp(points("z", z, 1)[:, 0], edges, start), now, edges)[:, None]

    def _quantiles(self, t: float) -> tuple[Array, Array]:
        """Places, and the share of mass below each, from the monotone cubic through the cells' masses."""
        places = self._edges[0]
        below = np.concatenate([[0.0], np.cumsum(np.pad(self._at("density", t), 1))])
        fine = np.linspace(places[0], places[-1], FINE * (len(places) - 1) + 1)
        return fine, PchipInterpolator(places, below / below[-1])(fine)

    def error(self, t: float) -> float:
        """An estimate of the L1 error of the grid: that of ρ_N − ρ_{N/2} over 3, by second order; NaN where no
        coarse grid was given. (Where a front lowers the order to 1.6, the error is 1.5 times as large.)"""
        if self._coarse is None:
            return float("nan")
        axes: list[Any] = [self.dataset[name].values for name in self.names]
        centres = np.stack([part.ravel() for part in np.meshgrid(*axes, indexing="ij")], axis=1)
        volume = float(np.prod([axis[1] - axis[0] for axis in axes]))
        gap = self.density(t, centres) - self._coarse.density(t, centres)
        return float(np.abs(gap).sum() * volume / (2**ORDER - 1))


def _edges(centres: Array) -> Array:
    """The edges of equal cells and of one more at either end, (n,) → (n + 3,)."""
    width = centres[1] - centres[0]
    return centres[0] + width * (np.arange(len(centres) + 3) - 1.5)


def _derivative(edges: list[Array], density: Array) -> Callable[[Array], Array]:
    """The density as a function of points (N, d), from cell averages between `edges`."""
    masses = density
    for axis, places in enumerate(edges):
        masses = np.insert(np.cumsum(masses, axis), 0, 0.0, axis) * (places[1] - places[0])
    if len(edges) == 1:
        slope = CubicSpline(edges[0], masses).derivative()
        return lambda x: slope(x[:, 0])
    surface = RectBivariateSpline(*edges, masses, s=0)
    return lambda x: surface.ev(x[:, 0], x[:, 1], dx=1, dy=1)
