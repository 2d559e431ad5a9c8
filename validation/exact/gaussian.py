"""Solutions that stay Gaussian: what they share, Ornstein–Uhlenbeck, McKean–Vlasov, quadratic attraction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp

from ...errors import InputError, real, settle
from .solution import Array, Solution, points, symmetric, time, vector


class Normal(Solution):
    """A solution that stays normal. A subclass gives `mean`, `covariance` and `_velocity`."""

    mean0: Any
    covariance0: Any

    @property
    def dim(self) -> int:  # type: ignore[override]
        return len(self.mean0)

    def _velocity(self, t: float) -> Array:
        """∂v/∂x of the affine velocity field, (d, d)."""
        raise NotImplementedError

    def log_density(self, t: float, x: ArrayLike) -> Array:
        factor = np.linalg.cholesky(self.covariance(t))
        whitened = np.linalg.solve(factor, (self._points(x) - self.mean(t)).T)
        return -0.5 * (whitened**2).sum(0) - np.log(np.diag(factor)).sum() - 0.5 * self.dim * np.log(2 * np.pi)

    def flow_map(self, t: float, z: ArrayLike) -> Array:
        z = points("z", z, self.dim)
        return self.mean(t) + (z - self.mean0) @ self._jacobian(time(t)).T

    def _jacobian(self, t: float) -> Array:
        """∂(flow map)/∂z, (d, d), from M' = (∂v/∂x) M."""
        shape = (self.dim, self.dim)
        if t == 0:
            return np.eye(self.dim)

        def derivative(s: float, M: Array) -> Array:
            return (self._velocity(s) @ M.reshape(shape)).ravel()

        run = solve_ivp(derivative, (0, t), np.eye(self.dim).ravel(), method="DOP853", rtol=1e-12, atol=1e-14)
        return run.y[:, -1].reshape(shape)

    def _sample_initial(self, n: int, rng: np.random.Generator) -> Array:
        return self.mean0 + rng.standard_normal((n, self.dim)) @ np.linalg.cholesky(self.covariance0).T


@dataclass(frozen=True, eq=False)
class OrnsteinUhlenbeck(Normal):
    """V = ½(x−μ)ᵀA(x−μ), D·entropy and W = κ|x|²/2, from N(m₀, C₀).

    With B = A + κI (Risken, *The Fokker–Planck Equation*, §6.5, and the McKean–Vlasov equation, whose
    mean does not feel the attraction):

        m(t) = μ + e^(−At)(m₀ − μ),    C(t) = e^(−Bt) C₀ e^(−Bt) + 2D ∫₀ᵗ e^(−2Bs) ds

    `mean_target` μ (d,), `precision` A (d, d) symmetric (singular and indefinite are allowed),
    `diffusivity` D >= 0, `mean0` m₀ (d,), `covariance0` C₀ (d, d) positive definite, `attraction` κ.
    Raises `InputError` for other shapes and values.
    """

    mean_target: Any
    precision: Any
    diffusivity: float
    mean0: Any
    covariance0: Any
    attraction: float = 0.0

    def __post_init__(self) -> None:
        mean0 = vector("mean0", self.mean0)
        dim = mean0.size
        if real("diffusivity", self.diffusivity) < 0:
            raise InputError(f"diffusivity must be >= 0, got {self.diffusivity!r}")
        checked = {
            "mean0": mean0,
            "mean_target": vector("mean_target", self.mean_target, dim),
            "precision": symmetric("precision", self.precision, dim, definite=False),
            "covariance0": symmetric("covariance0", self.covariance0, dim, definite=True),
            "attraction": real("attraction", self.attraction),
        }
        settle(self, **checked)

    @property
    def contraction(self) -> Array:
        """B = A + κI, (d, d)."""
        return np.asarray(self.precision) + self.attraction * np.eye(self.dim)

    def mean(self, t: float) -> Array:
        rates, axes = np.linalg.eigh(self.precision)
        mean0, target = np.asarray(self.mean0), np.asarray(self.mean_target)
        return target + axes @ (np.exp(-rates * time(t)) * (axes.T @ (mean0 - target)))

    def covariance(self, t: float) -> Array:
        t = time(t)
        rates, axes = np.linalg.eigh(self.contraction)
        decay = axes @ np.diag(np.exp(-rates * t)) @ axes.T
        flat = np.abs(rates * t) < 1e-150
        safe = np.where(flat, 1.0, rates)
        noise = np.where(flat, 2 * t, -np.expm1(-2 * safe * t) / safe)  # 2∫₀ᵗ e^(−2bs) ds
        return decay @ self.covariance0 @ decay + self.diffusivity * axes @ np.diag(noise) @ axes.T

    def energy(self, t: float) -> float:
        shift = self.mean(t) - self.mean_target
        covariance = self.covariance(t)
        total = 0.5 * shift @ self.precision @ shift + 0.5 * np.trace(self.contraction @ covariance)
        entropy = 0.5 * (np.linalg.slogdet(covariance)[1] + self.dim * np.log(2 * np.pi * np.e))
        return float(total - self.diffusivity * entropy)

    def _velocity(self, t: float) -> Array:
        return self.diffusivity * np.linalg.inv(self.covariance(t)) - self.contraction

    def _jacobian(self, t: float) -> Array:
        """∂(flow map)/∂z, (d, d): C_t^½ C₀^(−½) where C₀ and B commute."""
        B, start = self.contraction, np.asarray(self.covariance0)
        if np.allclose(B @ start, start @ B, rtol=1e-13, atol=1e-14 * np.abs(start).max()):
            return _power(self.covariance(t), 0.5) @ _power(start, -0.5)
        return super()._jacobian(t)


@dataclass(frozen=True, eq=False, init=False)
class QuadraticAttraction(OrnsteinUhlenbeck):
    """W = κ|x|²/2 alone, from N(m₀, C₀): x ↦ m₀ + (x − m₀)e^(−κt).

    `attraction` κ (repulsion where it is negative), `mean0` (d,), `covariance0` (d, d).
    Raises `InputError` for other shapes and values.
    """

    def __init__(self, attraction: float, mean0: ArrayLike, covariance0: ArrayLike) -> None:
        dim = vector("mean0", mean0).size
        super().__init__(np.zeros(dim), np.zeros((dim, dim)), 0.0, mean0, covariance0, attraction)


def _power(matrix: Array, exponent: float) -> Array:
    """A power of a symmetric positive definite matrix."""
    values, axes = np.linalg.eigh(matrix)
    return axes @ np.diag(values**exponent) @ axes.T
