"""The Barenblatt density as a reference; its public place is `references.Barenblatt`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import array_api_compat
import numpy as np
import scipy
from numpy.typing import ArrayLike

from ..errors import InputError, positive, positive_int, real, settle
from .base import Reference, constant_like, vector

Array = Any


@dataclass(frozen=True, eq=False)
class Barenblatt(Reference):
    """The self-similar solution of ∂ρ/∂t = Δρ^m, m > 1, of mass 1 at time t, about `centre` (d,) (default 0).

        ρ(x) = t^(−α) (C − k |x|² t^(−2β))₊^p,  p = 1/(m−1), α = d/(d(m−1)+2), β = α/d, k = β(m−1)/(2m)

    (Vázquez, *The Porous Medium Equation*, 2007.) Its support is the ball of `radius` √(C/k) t^β, in
    which (|x|/radius)² ~ Beta(d/2, p+1). It is sampled radially: d normal numbers give the direction,
    and their squared length, by its χ² law, the quantile of that Beta law; so d uniforms make a point.

    Raises `InputError` for dim < 1, m <= 1, t <= 0, or a centre of another shape.
    """

    dim: int
    m: float
    t: float
    centre: np.ndarray | None = None

    if TYPE_CHECKING:  # what is accepted, against what is kept

        def __init__(self, dim: int, m: float, t: float, centre: ArrayLike | None = None) -> None: ...

    _MARGIN = 1e-6  # samples keep (|x|/radius)² below 1 − _MARGIN, so that log ρ is finite in float32 too

    def __post_init__(self) -> None:
        settle(self, dim=positive_int("dim", self.dim), m=real("m", self.m), t=positive("t", self.t))
        if not self.m > 1:
            raise InputError(f"m must be > 1, got {self.m}")
        centre = vector("centre", np.zeros(self.dim) if self.centre is None else self.centre)
        if centre.size != self.dim:
            raise InputError(f"centre must have shape ({self.dim},), got {centre.shape}")
        settle(self, centre=centre)

    @property
    def p(self) -> float:
        """The exponent 1/(m−1)."""
        return 1 / (self.m - 1)

    @property
    def beta(self) -> float:
        """The exponent of the radius's growth, 1/(d(m−1)+2)."""
        return 1 / (self.dim * (self.m - 1) + 2)

    @property
    def alpha(self) -> float:
        """The exponent of the peak's decay, dβ."""
        return self.dim * self.beta

    @property
    def k(self) -> float:
        """The constant k = β(m−1)/(2m)."""
        return self.beta * (self.m - 1) / (2 * self.m)

    @cached_property
    def C(self) -> float:
        """The constant C for mass 1, from 1 = C^(p+d/2) (π/k)^(d/2) Γ(p+1)/Γ(p+1+d/2)."""
        half = self.dim / 2
        ratio = scipy.special.gammaln(self.p + 1 + half) - scipy.special.gammaln(self.p + 1)
        return math.exp((ratio + half * math.log(self.k / math.pi)) / (self.p + half))

    @property
    def radius(self) -> float:
        """The radius of the support, √(C/k) t^β."""
        return math.sqrt(self.C / self.k) * self.t**self.beta

    @property
    def mean(self) -> np.ndarray:  # type: ignore[override]
        assert self.centre is not None
        return self.centre

    @property
    def covariance(self) -> np.ndarray:  # type: ignore[override]
        return self.radius**2 / (self.dim + 2 * self.p + 2) * np.eye(self.dim)

    def from_uniform(self, u: np.ndarray) -> np.ndarray:
        y = scipy.special.ndtri(self._uniforms(u))
        square = np.sum(y * y, axis=1, keepdims=True)
        half, b = self.dim / 2, self.p + 1
        below, above = scipy.special.gammainc(half, square / 2), scipy.special.gammaincc(half, square / 2)
        # whichever tail is small holds the digits
        inner = scipy.special.betaincinv(half, b, below)
        outer = 1 - np.maximum(scipy.special.betaincinv(b, half, above), self._MARGIN)
        fraction = np.where(below < 0.5, inner, outer)
        return self.mean + self.radius * np.sqrt(fraction / np.where(square > 0, square, 1)) * y

    def _scaled(self, z: Array) -> tuple[Any, Array, Array, Array]:
        """The namespace, (z − centre)/radius, whether inside, and 1 − its square (1 outside)."""
        self._check(z)
        xp = array_api_compat.array_namespace(z)
        s = (z - constant_like(self.mean, z)) / self.radius
        gap = 1 - xp.sum(s * s, axis=-1)
        inside = gap > 0
        return xp, s, inside, xp.where(inside, gap, constant_like(1.0, z))

    def log_density(self, z: Array) -> Array:
        xp, _, inside, gap = self._scaled(z)
        peak = self.p * math.log(self.C) - self.alpha * math.log(self.t)
        return xp.where(inside, peak + self.p * xp.log(gap), constant_like(-math.inf, z))

    def score(self, z: Array) -> Array:
        xp, s, inside, gap = self._scaled(z)
        value = (-2 * self.p / self.radius) * s / gap[..., None]
        return xp.where(inside[..., None], value, constant_like(0.0, z))
