"""The potentials, velocities and kernels of the named problems, for every array type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ..arrays import like
from ..energies import Drift, Potential

Array = Any
Vector = tuple[float, ...]
Matrix = tuple[Vector, ...]


@dataclass(frozen=True)
class Quadratic:
    """½(x−μ)ᵀA(x−μ), (N, d) → (N,)."""

    precision: Matrix
    centre: Vector

    def __call__(self, x: Array) -> Array:
        y = x - like(self.centre, x)
        return 0.5 * ((y @ like(self.precision, x)) * y).sum(-1)


def quadratic(A: np.ndarray, mu: np.ndarray) -> Potential:
    """The potential ½(x−μ)ᵀA(x−μ), A (d, d) symmetric, with its convexity (A's smallest eigenvalue)."""
    form = Quadratic(tuple(map(tuple, A.tolist())), tuple(mu.tolist()))
    return Potential(form, convexity=float(np.linalg.eigvalsh(A)[0]))


@dataclass(frozen=True)
class Linear:
    """The velocity −B(x−μ), (N, d) → (N, d)."""

    matrix: Matrix
    centre: Vector

    def __call__(self, x: Array) -> Array:
        return -(x - like(self.centre, x)) @ like(self.matrix, x).T


def linear(B: np.ndarray, mu: np.ndarray) -> Drift:
    """The drift −B(x−μ), B (d, d), with its monotonicity (the smallest eigenvalue of B's symmetric part)."""
    form = Linear(tuple(map(tuple, B.tolist())), tuple(mu.tolist()))
    return Drift(form, monotonicity=float(np.linalg.eigvalsh((B + B.T) / 2)[0]))


def double_well_potential(x: Array) -> Array:
    """(x² − 1)²/4, (N, 1) → (N,)."""
    return ((x**2 - 1) ** 2).sum(-1) / 4


def quartic_potential(x: Array) -> Array:
    """Σ (x_i⁴ − 16 x_i² + 5 x_i)/50, (N, d) → (N,)."""
    return (x**4 - 16 * x**2 + 5 * x).sum(-1) / 50


def ring_kernel(x: Array) -> Array:
    """|x|⁴/4 − |x|²/2, (N, d) → (N,)."""
    r2 = (x**2).sum(-1)
    return r2**2 / 4 - r2 / 2


@dataclass(frozen=True)
class Circling:
    """½(x−β)ᵀA(x−β) about β(t) = μ + p cos ωt + q sin ωt, (N, d) → (N,)."""

    precision: Matrix
    centre: Vector
    cosine: Vector
    sine: Vector
    frequency: float

    def __call__(self, x: Array, t: Array) -> Array:
        xp, phase = array_namespace(x), self.frequency * like(t, x)
        centre, cosine, sine = (like(part, x) for part in (self.centre, self.cosine, self.sine))
        y = x - centre - xp.cos(phase) * cosine - xp.sin(phase) * sine
        return 0.5 * ((y @ like(self.precision, x)) * y).sum(-1)


def circling(A: np.ndarray, p: np.ndarray, q: np.ndarray, frequency: float) -> Potential:
    """The potential ½(x−β)ᵀA(x−β) about β = p cos ωt + q sin ωt, A (d, d) symmetric, with its convexity."""
    centre = tuple(np.zeros(len(p)).tolist())
    form = Circling(tuple(map(tuple, A.tolist())), centre, tuple(p.tolist()), tuple(q.tolist()), frequency)
    return Potential(form, convexity=float(np.linalg.eigvalsh(A)[0]))


@dataclass(frozen=True)
class Kinetic:
    """The velocity (p, −(q³ − q) − γp) of (q, p): friction γ in the double well (q² − 1)²/4, (N, 2) → (N, 2)."""

    friction: float

    def __call__(self, x: Array) -> Array:
        q, p = x[:, 0], x[:, 1]
        return array_namespace(x).stack([p, q - q**3 - self.friction * p], axis=1)


@dataclass(frozen=True)
class Cosine:
    """K(1 − cos x), (N, 1) → (N,)."""

    coupling: float

    def __call__(self, x: Array) -> Array:
        return self.coupling * (1 - array_namespace(x).cos(x[:, 0]))
