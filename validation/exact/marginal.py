"""Solutions by refinement in 1-D, and their products in any dimension."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline
from scipy.special import ndtri
from scipy.stats import norm

from ...energies import Energy, Entropy, Potential
from ...errors import InputError, positive_int
from ..grid.distribution import Distribution
from ..grid.quantile import Levels, discrete_energy, evolve
from ..grid.terms import Parts, split
from .solution import Array, Solution, points, time


@dataclass(frozen=True, eq=False)
class Quantile1D(Solution):
    """Any 1-D flow, exact up to a refinement that it reports: the quantile solver on n and 2n mass levels.

    The monotone map of 1-D is X(t, z) with z the normal score of the initial point; the two levels are
    combined by Richardson extrapolation, (4X_2n − X_n)/3, and `error(t)` says how far the finer one was from
    that. `functional` is the energy as in the flow (V, W for numpy (N, 1) → (N,)); `initial` a frozen
    scipy.stats distribution or a `wgfode.validation.grid.Tabulated` density; `levels` n. Results are kept,
    so that a time is integrated once.
    Raises `InputError` for a bad energy, and `IntegrationError` where the integrator stalls.
    """

    functional: Energy
    initial: Distribution
    levels: int = 400
    rtol: float = 1e-9
    _coarse: dict[float, Array] = field(default_factory=dict, init=False, repr=False)
    _fine: dict[float, Array] = field(default_factory=dict, init=False, repr=False)

    dim = 1  # type: ignore[misc]

    def __post_init__(self) -> None:
        positive_int("levels", self.levels)
        _ = self._parts
        self._coarse[0.0] = self._grids[0].start(self.initial)
        self._fine[0.0] = self._grids[1].start(self.initial)

    @cached_property
    def _parts(self) -> Parts:
        return split(self.functional, 1)

    @cached_property
    def _grids(self) -> tuple[Levels, Levels]:
        return Levels.normal(self.levels), Levels.normal(2 * self.levels)

    def _parts_at(self, t: float) -> Parts:
        return self._parts

    def _march(self, kept: dict[float, Array], grid: Levels, t: float) -> Array:
        if t not in kept:
            before = max(s for s in kept if s <= t)
            kept[t] = evolve(self._parts_at, grid, kept[before], before, t, self.rtol)
        return kept[t]

    def positions(self, t: float) -> tuple[Array, Array]:
        """(z, X(t, z)): normal scores of the mass levels and the quantiles there, both (levels + 1,)."""
        t = time(t)
        coarse, fine = (
            self._march(self._coarse, self._grids[0], t),
            self._march(self._fine, self._grids[1], t),
        )
        return self._grids[0].z, (4 * fine[::2] - coarse) / 3

    def error(self, t: float) -> float:
        """W2 between the finer level and the extrapolated solution: what the refinement still changes."""
        x = self.positions(t)[1]
        return float(np.sqrt(self._grids[0].average((x - self._fine[float(t)][::2]) ** 2)))

    def mean(self, t: float) -> Array:
        return np.array([self._grids[0].average(self.positions(t)[1])])

    def covariance(self, t: float) -> Array:
        x = self.positions(t)[1] - self.mean(t)
        return np.array([[self._grids[0].average(x**2)]])

    def energy(self, t: float) -> float:
        """F(ρ_t), extrapolated like the positions."""
        self.positions(t)
        coarse = discrete_energy(self._parts, self._grids[0], self._coarse[float(t)])
        return (4 * discrete_energy(self._parts, self._grids[1], self._fine[float(t)]) - coarse) / 3

    def log_density(self, t: float, x: ArrayLike) -> Array:
        """log φ(z) − log ∂X/∂z at z = X⁻¹(x); X is continued linearly beyond |z| = 7."""
        x = self._points(x)[:, 0]
        z, nodes = self.positions(t)
        curve = _Curve(z, nodes)
        score = curve.inverse(x)
        return norm.logpdf(score) - np.log(curve.slope(score))

    def flow_map(self, t: float, z: ArrayLike) -> Array:
        x = points("z", z, 1)[:, 0]
        lower = self.initial.cdf(x) < 0.5
        score = np.where(lower, ndtri(self.initial.cdf(x)), -ndtri(self.initial.sf(x)))
        return _Curve(*self.positions(t))(np.clip(score, -37.0, 37.0))[:, None]

    def _sample_initial(self, n: int, rng: np.random.Generator) -> Array:
        return self.initial.ppf(rng.random((n, 1)))


@dataclass(frozen=True, eq=False)
class Product(Solution):
    """The product of 1-D solutions: a separable energy from a product density.

    `marginals` are d solutions with dim = 1 (the same object may appear many times, and is solved once).
    Raises `InputError` where one has another dim.
    """

    marginals: Sequence[Solution]

    def __post_init__(self) -> None:
        if not self.marginals or any(m.dim != 1 for m in self.marginals):
            raise InputError("marginals must be solutions of dimension 1, at least one")

    @property
    def dim(self) -> int:  # type: ignore[override]
        return len(self.marginals)

    def _each(self, compute: Any) -> list[Any]:
        """compute(marginal) for every coordinate, once for each distinct object."""
        distinct = {id(m): compute(m) for m in {id(m): m for m in self.marginals}.values()}
        return [distinct[id(m)] for m in self.marginals]

    def _columns(self, x: Array, compute: Any) -> Array:
        """compute(marginal, column (N, 1)) → (N,) a coordinate, (N, d); equal marginals in one call."""
        out = np.empty_like(x)
        for marginal in {id(m): m for m in self.marginals}.values():
            which = [i for i, m in enumerate(self.marginals) if m is marginal]
            out[:, which] = compute(marginal, x[:, which].reshape(-1, 1)).reshape(len(x), -1)
        return out

    def mean(self, t: float) -> Array:
        return np.concatenate(self._each(lambda m: m.mean(t)))

    def covariance(self, t: float) -> Array:
        return np.diag(self._each(lambda m: m.covariance(t)[0, 0]))

    def energy(self, t: float) -> float:
        return float(sum(self._each(lambda m: m.energy(t))))

    def log_density(self, t: float, x: ArrayLike) -> Array:
        return self._columns(self._points(x), lambda m, column: m.log_density(t, column)).sum(1)

    def flow_map(self, t: float, z: ArrayLike) -> Array:
        return self._columns(points("z", z, self.dim), lambda m, column: m.flow_map(t, column))

    def _sample_initial(self, n: int, rng: np.random.Generator) -> Array:
        return np.concatenate([m._sample_initial(n, rng) for m in self.marginals], axis=1)


def separable_quartic(dim: int = 30) -> Product:
    """The 30-D example: V = Σ(x⁴ − 16x² + 5x)/50, D = 1, from N(0, I)."""

    def V(x: Array) -> Array:
        return ((x**4 - 16 * x**2 + 5 * x) / 50).sum(1)

    return Product((Quantile1D(Potential(V) + Entropy(), norm(0, 1)),) * positive_int("dim", dim))


def double_well() -> Quantile1D:
    """The 1-D double well: V = (x²−1)²/4, D = .1, from N(.3, .09)."""
    return Quantile1D(Potential(lambda x: ((x**2 - 1) ** 2).sum(1) / 4) + 0.1 * Entropy(), norm(0.3, 0.3))


class _Curve:
    """X(z) as a cubic spline, continued linearly at both ends."""

    def __init__(self, z: Array, x: Array) -> None:
        self._spline = CubicSpline(z, x)
        self._z, self._x = z, x
        self._ends = self._spline(z[[0, -1]], 1)

    def __call__(self, z: Array) -> Array:
        inner = np.clip(z, self._z[0], self._z[-1])
        return self._spline(inner) + (z - inner) * np.where(z < 0, *self._ends)

    def slope(self, z: Array) -> Array:
        return np.maximum(self._spline(np.clip(z, self._z[0], self._z[-1]), 1), 1e-300)

    def inverse(self, x: Array) -> Array:
        """z with X(z) = x, by bisection in the panel that holds x; linear outside."""
        panel = np.clip(np.searchsorted(self._x, x) - 1, 0, len(self._x) - 2)
        low, high = self._z[panel], self._z[panel + 1]
        for _ in range(52):
            middle = 0.5 * (low + high)
            left = self._spline(middle) < x
            low, high = np.where(left, middle, low), np.where(left, high, middle)
        z = 0.5 * (low + high)
        below, above = x < self._x[0], x > self._x[-1]
        z = np.where(below, self._z[0] + (x - self._x[0]) / self._ends[0], z)
        return np.where(above, self._z[-1] + (x - self._x[-1]) / self._ends[1], z)
