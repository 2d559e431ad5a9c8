"""A box smoothed by the heat kernel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import array_api_compat
import numpy as np
import scipy

from ..backend.special import log_ndtr
from ..errors import InputError, positive, settle
from .base import Array, Reference, constant_like

STEPS = 60
"""Most steps of the quantile's iteration; about ten are taken."""


@dataclass(frozen=True, eq=False)
class Smoothed(Reference):
    """The law of z + width·y, z from `reference` and y standard normal: the density ρ ∗ N(0, width² I).

    It is the solution of the heat equation ∂ρ/∂t = DΔρ that starts at `reference`, at the time width²/(2D), and
    has no jump. Known in closed form for `Uniform`: per coordinate, with the box's middle c, h its half side and
    t = (z − c)/width, the density is [Φ(t + h/width) − Φ(t − h/width)]/(2h).

    Raises `InputError` for a width that is not > 0, and for any other reference.
    """

    reference: Reference
    width: float

    def __post_init__(self) -> None:
        if getattr(self.reference, "sides", None) is None:
            raise InputError(
                f"reference of Smoothed must be Uniform(low, high), got {type(self.reference).__name__} (a normal "
                "density smoothed is Gaussian(mean, cov + width² I); for others give Custom the smoothed samples and "
                "their log density)"
            )
        settle(self, width=positive("width", self.width))

    @property
    def dim(self) -> int:  # type: ignore[override]
        """The dimension d."""
        return self.reference.dim

    @property
    def mean(self) -> np.ndarray:  # type: ignore[override]
        return self.reference.mean

    @property
    def covariance(self) -> np.ndarray:  # type: ignore[override]
        return self.reference.covariance + self.width**2 * np.eye(self.dim)

    @property
    def _half(self) -> np.ndarray:
        """Half the sides, in widths, (d,)."""
        assert self.reference.sides is not None
        low, high = self.reference.sides
        return (high - low) / 2 / self.width

    def from_uniform(self, u: np.ndarray) -> np.ndarray:
        u = self._uniforms(u)
        lower = _quantile(np.minimum(u, 1 - u), np.broadcast_to(self._half, u.shape))
        return self.mean + self.width * np.where(u < 0.5, lower, -lower)

    def _ends(self, z: Array) -> tuple[Array, Array]:
        """(z − low)/width and (z − high)/width."""
        self._check(z)
        t, half = (z - constant_like(self.mean, z)) / self.width, constant_like(self._half, z)
        return t + half, t - half

    def log_density(self, z: Array) -> Array:
        xp = array_api_compat.array_namespace(z)
        sides = 2 * self.width * self._half
        return xp.sum(_log_mass(xp, *self._ends(z)), axis=-1) - float(np.sum(np.log(sides)))

    def score(self, z: Array) -> Array:
        xp = array_api_compat.array_namespace(z)
        right, left = self._ends(z)
        peak = _log_mass(xp, right, left) + 0.5 * math.log(2 * math.pi)
        return (xp.exp(-0.5 * right**2 - peak) - xp.exp(-0.5 * left**2 - peak)) / self.width


def _log_mass(xp: object, right: Array, left: Array) -> Array:
    """log[Φ(right) − Φ(left)], right > left, without the cancellation of the upper tail."""
    mirrored = right + left > 0  # Φ(a) − Φ(b) = Φ(−b) − Φ(−a)
    upper, lower = xp.where(mirrored, -left, right), xp.where(mirrored, -right, left)  # type: ignore[attr-defined]
    above, below = log_ndtr(upper), log_ndtr(lower)
    return above + xp.log(-xp.expm1(below - above))  # type: ignore[attr-defined]


def _quantile(u: np.ndarray, half: np.ndarray) -> np.ndarray:
    """t <= 0 at which a box of half side `half`, smoothed to width 1, has the mass u <= ½ below it.

    With G(s) = sΦ(s) + φ(s), the integral of Φ, that mass is [G(t + h) − G(t − h)]/(2h). Its logarithm is
    concave, so Newton's iteration climbs to the root from below and never passes it.
    """

    def integral(s: np.ndarray) -> np.ndarray:
        return s * scipy.special.ndtr(s) + np.exp(-0.5 * s**2) / math.sqrt(2 * math.pi)

    t = -half - 9.0
    for _ in range(STEPS):
        mass = (integral(t + half) - integral(t - half)) / (2 * half)
        density = (scipy.special.ndtr(t + half) - scipy.special.ndtr(t - half)) / (2 * half)
        step = np.log(u / mass) * mass / density
        t = np.minimum(t + step, 0.0)
        if np.all(np.abs(step) <= 1e-8 * (1 + np.abs(t))):  # it doubles its digits
            break
    return t
