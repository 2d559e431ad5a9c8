"""Self-similar solutions of the porous medium equation: Barenblatt, and its confined form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from ...errors import InputError, positive, positive_int, real
from .solution import Array, Solution, points, time


class SelfSimilar(Solution):
    """ρ_t = s^(−d)(K − k|x|²/s²)₊^p with p = 1/(m−1), a scale s(t), and K such that the mass is 1.

    K^(p+d/2) = k^(d/2) π^(−d/2) Γ(p+1+d/2)/Γ(p+1); (|x|/R)² ~ Beta(d/2, p+1); the map is x ↦ x s(t)/s(0).
    """

    m: float

    @property
    def curvature(self) -> float:
        """k of the profile."""
        raise NotImplementedError

    def scale(self, t: float) -> float:
        """s(t)."""
        raise NotImplementedError

    @property
    def height(self) -> float:
        """K of the profile (the literature's C)."""
        p, half = 1 / (self.m - 1), self.dim / 2
        log = half * np.log(self.curvature / np.pi) + gammaln(p + 1 + half) - gammaln(p + 1)
        return float(np.exp(log / (p + half)))

    def radius(self, t: float) -> float:
        """R(t), the radius of the support."""
        return float(np.sqrt(self.height / self.curvature)) * self.scale(t)

    def second_moment(self, t: float) -> float:
        """E|x|² at time t."""
        p, half = 1 / (self.m - 1), self.dim / 2
        return self.radius(t) ** 2 * half / (half + p + 1)

    def mean(self, t: float) -> Array:
        time(t)
        return np.zeros(self.dim)

    def covariance(self, t: float) -> Array:
        return self.second_moment(t) / self.dim * np.eye(self.dim)

    def log_density(self, t: float, x: ArrayLike) -> Array:
        s = self.scale(t)
        profile = self.height - self.curvature * (self._points(x) ** 2).sum(1) / s**2
        log = np.full(profile.shape, -np.inf)
        np.log(profile, out=log, where=profile > 0)
        return log / (self.m - 1) - self.dim * np.log(s)

    def energy(self, t: float) -> float:
        p, half = 1 / (self.m - 1), self.dim / 2
        return p * self.scale(t) ** (-self.dim * (self.m - 1)) * self.height * (p + 1) / (p + 1 + half)

    def flow_map(self, t: float, z: ArrayLike) -> Array:
        return points("z", z, self.dim) * (self.scale(t) / self.scale(0))

    def _sample_initial(self, n: int, rng: np.random.Generator) -> Array:
        direction = rng.standard_normal((n, self.dim))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        return self.radius(0) * np.sqrt(rng.beta(self.dim / 2, 1 / (self.m - 1) + 1, (n, 1))) * direction

    def _check(self) -> None:
        positive_int("dim", self.dim)
        if not real("m", self.m) > 1:
            raise InputError(f"m must be > 1, got {self.m!r}")


@dataclass(frozen=True)
class Barenblatt(SelfSimilar):
    """The Barenblatt solution of ∂ρ/∂t = Δρ^m on R^dim, of mass 1, started at Barenblatt time t0.

    Flow time t is Barenblatt time t0 + t; s = (t0+t)^β, β = 1/(d(m−1)+2), k = β(m−1)/(2m)
    (Vázquez, *The Porous Medium Equation*, 2007, ch. 4). Raises `InputError` unless m > 1, t0 > 0, dim >= 1.
    """

    dim: int
    m: float
    t0: float

    def __post_init__(self) -> None:
        self._check()
        positive("t0", self.t0)

    @property
    def exponent(self) -> float:
        """β."""
        return 1 / (self.dim * (self.m - 1) + 2)

    @property
    def curvature(self) -> float:
        return self.exponent * (self.m - 1) / (2 * self.m)

    def scale(self, t: float) -> float:
        return (self.t0 + time(t)) ** self.exponent


@dataclass(frozen=True)
class PorousMediumHarmonic(SelfSimilar):
    """∂ρ/∂t = Δρ^m + ∇·(ρx), V = |x|²/2, from a profile of scale s0.

    s^l = 1 + (s0^l − 1)e^(−lt), l = d(m−1)+2, k = (m−1)/(2m): the Barenblatt solution in self-similar
    variables (Carrillo and Toscani 2000, Indiana Univ. Math. J. 49). The steady state has s = 1.
    Raises `InputError` unless m > 1, s0 > 0, dim >= 1.
    """

    dim: int
    m: float
    s0: float

    def __post_init__(self) -> None:
        self._check()
        positive("s0", self.s0)

    @property
    def curvature(self) -> float:
        return (self.m - 1) / (2 * self.m)

    def scale(self, t: float) -> float:
        l = self.dim * (self.m - 1) + 2
        return (1 + (self.s0**l - 1) * np.exp(-l * time(t))) ** (1 / l)

    def energy(self, t: float) -> float:
        return super().energy(t) + 0.5 * self.second_moment(t)
