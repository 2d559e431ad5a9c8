"""A 1-D density as a distribution: CDF, survival function and quantiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline

from ...errors import InputError

Array = NDArray[np.float64]


class Distribution(Protocol):
    """The methods of a frozen scipy.stats distribution that are used, all elementwise."""

    def cdf(self, x: Array) -> Array: ...

    def sf(self, x: Array) -> Array: ...

    def ppf(self, q: Array) -> Array: ...

    def isf(self, q: Array) -> Array: ...


class Tabulated:
    """The distribution of a density given as a function.

    `density` maps (N, 1) to (N,); `low`, `high` hold its mass, up to 1e-6, and it is renormalised to 1.
    Both tails are integrated from their own end, so that they keep their relative accuracy.
    Raises `InputError` where the density is negative or its mass is not 1 to 1e-6.
    """

    def __init__(self, density: Callable[[Array], Array], low: float, high: float, panels: int = 8000) -> None:
        nodes, weights = np.polynomial.legendre.leggauss(5)
        edges = np.linspace(low, high, panels + 1)
        half = 0.5 * (edges[1] - edges[0])
        inner = (edges[:-1, None] + half * (1 + nodes)).reshape(-1, 1)
        values = np.asarray(density(inner), dtype=float)
        slopes = np.asarray(density(edges[:, None]), dtype=float)
        if values.min() < 0 or slopes.min() < 0:
            raise InputError(f"the initial density is negative: minimum {min(values.min(), slopes.min()):.3g}")
        masses = half * values.reshape(panels, -1) @ weights
        total = masses.sum()
        if abs(total - 1) > 1e-6:
            raise InputError(f"the initial density has mass {total:.8g} in [{low:g}, {high:g}], expected 1")
        below = np.concatenate([[0.0], np.cumsum(masses)]) / total
        above = np.concatenate([np.cumsum(masses[::-1])[::-1], [0.0]]) / total
        self._edges, self._below, self._above = edges, below, above
        self._cdf = CubicHermiteSpline(edges, below, slopes / total)
        self._sf = CubicHermiteSpline(edges, above, -slopes / total)

    def cdf(self, x: Array) -> Array:
        return np.clip(self._cdf(np.clip(x, self._edges[0], self._edges[-1])), 0.0, 1.0)

    def sf(self, x: Array) -> Array:
        return np.clip(self._sf(np.clip(x, self._edges[0], self._edges[-1])), 0.0, 1.0)

    def ppf(self, q: Array) -> Array:
        return self._invert(self._cdf, self._below, np.asarray(q, dtype=float), 1.0)

    def isf(self, q: Array) -> Array:
        return self._invert(self._sf, self._above, np.asarray(q, dtype=float), -1.0)

    def _invert(self, curve: CubicHermiteSpline, table: Array, q: Array, sign: float) -> Array:
        """x with curve(x) = q, by bisection inside the panel that holds it."""
        if sign > 0:
            panel = np.searchsorted(table, q, side="left") - 1
        else:
            panel = len(table) - 1 - np.searchsorted(table[::-1], q, side="left")
        panel = np.clip(panel, 0, len(table) - 2)
        low, high = self._edges[panel], self._edges[panel + 1]
        for _ in range(60):
            middle = 0.5 * (low + high)
            left = sign * (curve(middle) - q) < 0
            low, high = np.where(left, middle, low), np.where(left, high, middle)
        return 0.5 * (low + high)
