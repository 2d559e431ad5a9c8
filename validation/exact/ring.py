"""The aggregation equation that collapses onto a ring, in closed form up to a planar ODE."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp
from scipy.special import hyperu

from ...errors import positive
from .solution import Array, Solution, points, time, vector


@dataclass(frozen=True)
class Ring(Solution):
    """W = |x|⁴/4 − |x|²/2 in 2-D, from N(centre, variance·I).

    A particle at radius r obeys r' = (1 − 2m₂ − r²)r with m₂ = E r², so that with s = 2·variance

        x ↦ c + (x−c) √(a/(1+b|x−c|²)),   a' = 2(1−2m₂)a,   b' = 2a,   a(0) = 1,   b(0) = 0
        m₂ = (a/b)(1 − ζe^ζE₁(ζ)) = a s ζ² U(2, 2, ζ),   ζ = 1/(bs),   U Tricomi's function
        density e^(−u/s) a/(πs(a − br²)²),   u = r²/(a − br²) the squared initial radius, r² < a/b

    The steady state has radius 1/√3 and energy −1/12. Raises `InputError` unless variance > 0.
    """

    variance: float = 0.18
    centre: Any = (1.25, 1.25)
    _solved: dict[float, tuple[float, float]] = field(default_factory=dict, init=False, repr=False, compare=False)

    dim = 2  # type: ignore[misc]

    def __post_init__(self) -> None:
        positive("variance", self.variance)
        vector("centre", self.centre, 2)

    def coefficients(self, t: float) -> tuple[float, float]:
        """(a, b) at time t."""
        t = time(t)
        if t not in self._solved:
            self._solved[t] = (1.0, 0.0) if t == 0 else self._integrate(t)
        return self._solved[t]

    def _integrate(self, t: float) -> tuple[float, float]:
        def derivative(_: float, y: Array) -> list[float]:
            a, b = np.exp(y[0]), y[1]
            return [2 * (1 - 2 * self._second_moment(a, b)), 2 * a]

        run = solve_ivp(derivative, (0, t), [0.0, 0.0], method="DOP853", rtol=1e-12, atol=1e-13)
        return float(np.exp(run.y[0, -1])), float(run.y[1, -1])

    def _second_moment(self, a: float, b: float) -> float:
        s = 2 * self.variance
        if b * s < 1e-12:
            return a * s
        zeta = 1 / (b * s)
        return float(a * s * zeta**2 * hyperu(2, 2, zeta))

    def _fourth_moment(self, a: float, b: float) -> float:
        s = 2 * self.variance
        if b * s < 1e-12:
            return 2 * (a * s) ** 2
        zeta = 1 / (b * s)
        return float(2 * (a * s) ** 2 * zeta**3 * hyperu(3, 2, zeta))

    def mean(self, t: float) -> Array:
        time(t)
        return np.array(self.centre, dtype=float)

    def covariance(self, t: float) -> Array:
        return 0.5 * self._second_moment(*self.coefficients(t)) * np.eye(2)

    def log_density(self, t: float, x: ArrayLike) -> Array:
        a, b = self.coefficients(t)
        s = 2 * self.variance
        r2 = ((self._points(x) - self.centre) ** 2).sum(1)
        gap = a - b * r2
        inside = gap > 0
        gap = np.where(inside, gap, 1.0)
        return np.where(inside, -r2 / gap / s + np.log(a / (np.pi * s)) - 2 * np.log(gap), -np.inf)

    def energy(self, t: float) -> float:
        """½∬Wρρ = m₄/4 + m₂²/2 − m₂/2 for a radial density."""
        ab = self.coefficients(t)
        m2, m4 = self._second_moment(*ab), self._fourth_moment(*ab)
        return m4 / 4 + m2**2 / 2 - m2 / 2

    def flow_map(self, t: float, z: ArrayLike) -> Array:
        a, b = self.coefficients(t)
        offset = points("z", z, 2) - self.centre
        return self.centre + offset * np.sqrt(a / (1 + b * (offset**2).sum(1, keepdims=True)))

    def radial_cdf(self, t: float, r: ArrayLike) -> Array:
        """P(|x − centre| <= r) at time t, elementwise: 1 − e^(−u/s)."""
        a, b = self.coefficients(t)
        r2 = np.asarray(r, dtype=float) ** 2
        gap = a - b * r2
        u = np.where(gap > 0, r2 / np.where(gap > 0, gap, 1.0), np.inf)
        return -np.expm1(-u / (2 * self.variance))

    def _sample_initial(self, n: int, rng: np.random.Generator) -> Array:
        return self.centre + np.sqrt(self.variance) * rng.standard_normal((n, 2))
