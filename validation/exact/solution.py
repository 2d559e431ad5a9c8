"""What every exact solution has: the base class, and the checks of its arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, positive_int, real

Array = NDArray[np.float64]


class Solution:
    """A solution ρ_t of a Wasserstein gradient flow on R^dim.

    `t` is the flow time, counted from the initial condition: t = 0 is ρ₀, and t < 0 is an `InputError`.
    Points are `(N, dim)`; densities are per unit volume of R^dim, with mass 1.
    """

    dim: int

    def mean(self, t: float) -> Array:
        """E[x] at time t, (dim,)."""
        raise NotImplementedError

    def covariance(self, t: float) -> Array:
        """Cov[x] at time t, (dim, dim)."""
        raise NotImplementedError

    def log_density(self, t: float, x: ArrayLike) -> Array:
        """log ρ_t at points x, (N, dim) → (N,); −inf outside the support."""
        raise NotImplementedError

    def density(self, t: float, x: ArrayLike) -> Array:
        """ρ_t at points x, (N, dim) → (N,)."""
        return np.exp(self.log_density(t, x))

    def energy(self, t: float) -> float:
        """F(ρ_t), with the ½ in the interaction; `NotImplementedError` where the flow has no energy."""
        raise NotImplementedError

    def flow_map(self, t: float, z: ArrayLike) -> Array:
        """The exact Lagrangian map: where the flow has carried the initial points z, (N, dim) → (N, dim)."""
        raise NotImplementedError

    def sample(self, t: float, n: int, seed: int) -> Array:
        """n independent samples of ρ_t, (n, dim); the same seed follows the same particles in time."""
        initial = self._sample_initial(positive_int("n", n), np.random.default_rng(seed))
        return self.flow_map(t, initial)

    def _sample_initial(self, n: int, rng: np.random.Generator) -> Array:
        raise NotImplementedError

    def _points(self, x: ArrayLike) -> Array:
        """x as a float array (N, dim), else an `InputError`."""
        return points("x", x, self.dim)


def time(t: Any) -> float:
    """t as a finite float >= 0, else an `InputError`."""
    number = real("t", t)
    if number < 0:
        raise InputError(f"t is the time since the initial condition and must be >= 0, got {t!r}")
    return number


def points(name: str, x: ArrayLike, dim: int) -> Array:
    """x as a float array (N, dim), else an `InputError` that names it."""
    array = np.asarray(x, dtype=float)
    if array.ndim != 2 or array.shape[1] != dim:
        raise InputError(f"{name} must be points of shape (N, {dim}), got shape {array.shape}")
    return array


def vector(name: str, value: ArrayLike, dim: int | None = None) -> Array:
    """value as a finite vector (of length dim, where it is given), else an `InputError`."""
    array = np.asarray(value, dtype=float)
    if array.ndim != 1 or array.size == 0 or (dim is not None and array.size != dim):
        raise InputError(
            f"{name} must be a vector{'' if dim is None else f' of length {dim}'}, got shape {array.shape}"
        )
    if not np.isfinite(array).all():
        raise InputError(f"{name} must be finite, got {array}")
    return array


def symmetric(name: str, value: ArrayLike, dim: int, definite: bool) -> Array:
    """value as a symmetric (dim, dim) matrix, positive definite where `definite`, else an `InputError`."""
    array = np.asarray(value, dtype=float)
    if array.shape != (dim, dim):
        raise InputError(f"{name} must be a matrix of shape ({dim}, {dim}), got shape {array.shape}")
    if not np.isfinite(array).all() or not np.allclose(array, array.T, rtol=1e-12, atol=1e-14):
        raise InputError(f"{name} must be finite and symmetric, got\n{array}")
    if definite and not (smallest := float(np.linalg.eigvalsh(array)[0])) > 0:
        raise InputError(f"{name} must be positive definite, its smallest eigenvalue is {smallest:.3g}")
    return array
