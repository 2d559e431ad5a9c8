"""The named problems, each with its flow, output times and, where known, exact solution."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .arrays import like
from .energies import Diffusion, Drift, Entropy, Interaction, PorousMedium, Potential
from .errors import choice
from .flow import GradientFlow
from .maps import Affine, Planar, Residual
from .points import Sobol
from .references import Barenblatt, Gaussian
from .solvers import CG, Cholesky, Eigh

Array = Any


@dataclass(frozen=True)
class Problem:
    """A named problem."""

    name: str
    description: str
    flow: GradientFlow
    times: tuple[float, ...]
    """Output times, 0 included."""
    rtol: float = 1e-6
    atol: float = 1e-8
    """Tolerances at which the problem's figures are stated."""

    exact_solution: str | Callable[[GradientFlow], Any] | None = None
    """What makes the exact solution of the flow, or its address "module:function"."""

    @property
    def exact(self) -> Any:
        """The exact solution (`wgfode.validation.exact`), or None where none is known."""
        make = self.exact_solution
        if isinstance(make, str):
            make = pkgutil.resolve_name(make)
        return None if make is None else make(self.flow)

    def with_seed(self, seed: int) -> Problem:
        """The problem with its driving points drawn from another seed."""
        flow = replace(self.flow, points=replace(self.flow.points, seed=seed))  # type: ignore[type-var]
        return replace(self, flow=flow)


@dataclass(frozen=True)
class Quadratic:
    """½(x−μ)ᵀA(x−μ), (N, d) → (N,)."""

    precision: tuple[tuple[float, ...], ...]
    centre: tuple[float, ...]

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

    matrix: tuple[tuple[float, ...], ...]
    centre: tuple[float, ...]

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


EXACT = "wgfode.validation.exact.named:"

_SIGMA = np.array([[5.0, -3.0], [-3.0, 5.0]]) / 8


def _ornstein_uhlenbeck_2d() -> Problem:

    flow = GradientFlow(
        map=Affine(2),
        energy=quadratic(np.linalg.inv(_SIGMA), np.ones(2)) + Entropy(),
        reference=Gaussian.standard(2),
        points=Sobol(256, seed=0),
    )
    return Problem(
        "ornstein-uhlenbeck-2d",
        "Fokker–Planck, quadratic potential with a correlated target; affine map",
        flow, (0.0, 0.1, 0.3, 1.0), exact_solution=EXACT + "ornstein_uhlenbeck",
    )  # fmt: skip


def _fokker_planck_10d() -> Problem:
    sigma = np.eye(10)
    sigma[:2, :2] = _SIGMA
    sigma[4:6, 4:6] = np.diag([1.0, 0.25])
    sigma[8:, 8:] = np.diag([0.25, 0.25])
    mu = np.array([1.0, 1, 0, 0, 1, 2, 0, 0, 2, 3])
    flow = GradientFlow(
        map=Affine(10) @ Planar(10, layers=20),
        energy=quadratic(np.linalg.inv(sigma), mu) + Entropy(),
        reference=Gaussian.standard(10),
        points=Sobol(1024, seed=0),
    )
    return Problem(
        "fokker-planck-10d",
        "Fokker–Planck in 10-D, quadratic potential (the source's example 2); affine ∘ planar map",
        flow, (0.0, 0.1, 0.5, 1.0, 2.0), exact_solution=EXACT + "ornstein_uhlenbeck",
    )  # fmt: skip


def _fokker_planck_30d() -> Problem:
    flow = GradientFlow(
        map=Affine(30) @ Residual(30, width=120, init="axis", scale=0.6),
        energy=Potential(quartic_potential, convexity=-0.64) + Entropy(),
        reference=Gaussian.standard(30),
        points=Sobol(2048, seed=0),
        solver=CG(rtol=1e-2, shift=1e-6),
    )
    return Problem(
        "fokker-planck-30d",
        "Fokker–Planck in 30-D, separable quartic double wells (the source's example 3); affine ∘ residual map",
        flow, (0.0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8), rtol=1e-3, atol=1e-5, exact_solution=EXACT + "separable",
    )  # fmt: skip


def _aggregation_ring() -> Problem:
    flow = GradientFlow(
        map=Affine(2) @ Residual(2, width=40, centre=1.25, spread=0.42),
        energy=Interaction(ring_kernel, convexity=-1.0),
        reference=Gaussian((1.25, 1.25), 0.18 * np.eye(2)),
        points=Sobol(1024, seed=0),
        solver=Cholesky(shift=1e-8),
    )
    return Problem(
        "aggregation-ring",
        "Aggregation in 2-D, repulsion and attraction that end on a ring (the source's example 1)",
        flow, (0.0, 0.5, 1.0, 2.0, 4.0, 10.0), exact_solution=EXACT + "ring",
    )  # fmt: skip


def _porous_medium_2d() -> Problem:
    flow = GradientFlow(
        map=Affine(2),
        energy=PorousMedium(2),
        reference=Barenblatt(2, 2, 0.2),
        points=Sobol(1024, seed=0),
    )
    return Problem(
        "porous-medium-2d",
        "Porous medium equation, m = 2, from the Barenblatt profile at t₀ = 0.2; affine map",
        flow, (0.0, 0.2, 0.6, 1.0, 2.0), rtol=1e-7, atol=1e-9, exact_solution=EXACT + "barenblatt",
    )  # fmt: skip


def _double_well_1d() -> Problem:
    flow = GradientFlow(
        map=Affine(1) @ Residual(1, width=20, init="axis", centre=0.3, spread=0.3),
        energy=Potential(double_well_potential, convexity=-1.0) + 0.1 * Entropy(),
        reference=Gaussian([0.3], [[0.09]]),
        points=Sobol(1024, seed=0),
        solver=Eigh(shift=1e-8),
    )
    return Problem(
        "double-well-1d",
        "Fokker–Planck in 1-D, V = (x²−1)²/4, D = 0.1; affine ∘ residual map",
        flow, (0.0, 0.1, 0.25, 0.5, 1.0, 2.0), exact_solution=EXACT + "wells",
    )  # fmt: skip


def _kinetic_oscillator() -> Problem:
    friction, temperature = 0.5, 1.0
    flow = GradientFlow(
        map=Affine(2),
        energy=linear(np.array([[0.0, -1.0], [1.0, friction]]), np.zeros(2))
        + Diffusion(np.diag([0.0, friction * temperature])),
        reference=Gaussian([2.0, 0.0], np.diag([0.5, 0.1])),
        points=Sobol(256, seed=0),
    )
    return Problem(
        "kinetic-oscillator",
        "Underdamped Langevin (q, p) in a harmonic well: a drift that is no gradient, noise on p alone; affine map",
        flow, (0.0, 0.5, 1.0, 2.0, 4.0, 8.0), rtol=1e-9, atol=1e-11, exact_solution=EXACT + "linear_drift",
    )  # fmt: skip


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "ornstein-uhlenbeck-2d": _ornstein_uhlenbeck_2d,
    "double-well-1d": _double_well_1d,
    "porous-medium-2d": _porous_medium_2d,
    "aggregation-ring": _aggregation_ring,
    "fokker-planck-10d": _fokker_planck_10d,
    "fokker-planck-30d": _fokker_planck_30d,
    "kinetic-oscillator": _kinetic_oscillator,
}


def names() -> list[str]:
    """The names of the problems."""
    return list(PROBLEMS)


def get(name: str) -> Problem:
    """The problem of that name; `InputError` with the nearest names for an unknown one."""
    return PROBLEMS[choice("problem", name, PROBLEMS)]()
