"""The problems that wgfode brings, each with its flow, output times and, where known, exact solution."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable

import numpy as np

from ..energies import Diffusion, Drift, Entropy, Interaction, PorousMedium, Potential
from ..flow import GradientFlow
from ..maps import Affine, Planar, Residual
from ..points import Sobol
from ..references import Barenblatt, Gaussian
from ..solvers import LSMR, Cholesky, Eigh
from .base import Problem
from .forms import (
    Cosine,
    Kinetic,
    circling,
    double_well_potential,
    linear,
    quadratic,
    quartic_potential,
    ring_kernel,
)

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
        solver=LSMR(rtol=1e-4, shift=1e-6),
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


def _ou_time_dependent_2d() -> Problem:
    p, q = np.array([3.0, 0.0]), np.array([0.0, 3.0])
    flow = GradientFlow(
        map=Affine(2),
        energy=circling(np.diag([1.0, 3.0]), p, q, np.pi) + 0.25 * Entropy(),
        reference=Gaussian(p, 0.25 * np.eye(2)),
        points=Sobol(64, seed=0),
    )
    return Problem(
        "ou-time-dependent-2d",
        "Fokker–Planck, a quadratic potential that goes round a circle; affine map",
        flow, (0.0, 0.5, 1.0, 2.0, 5.0, 10.0), rtol=1e-7, atol=1e-9, exact_solution=EXACT + "forced",
    )  # fmt: skip


def _kinetic_double_well() -> Problem:
    friction, temperature = 1.0, 0.5
    flow = GradientFlow(
        map=Affine(2) @ Residual(2, width=24),
        energy=Drift(Kinetic(friction)) + Diffusion(np.diag([0.0, friction * temperature])),
        reference=Gaussian([0.5, 0.0], np.diag([0.2, 0.2])),
        points=Sobol(1024, seed=0),
        solver=Cholesky(shift=1e-6),
    )
    return Problem(
        "kinetic-double-well",
        "Underdamped Langevin (q, p) in a double well, noise on p alone; affine ∘ residual map",
        flow, (0.0, 0.25, 0.5, 1.0), rtol=1e-4, atol=1e-6,
    )  # fmt: skip


def _kuramoto() -> Problem:
    flow = GradientFlow(
        map=Affine(1) @ Residual(1, width=20, init="axis"),
        energy=Interaction(Cosine(2.0), convexity=-2.0) + 0.3 * Entropy(),
        reference=Gaussian([0.0], [[2.25]]),
        points=Sobol(1024, seed=0),
        solver=Eigh(shift=1e-8),
    )
    return Problem(
        "kuramoto",
        "Noisy Kuramoto oscillators on the line, W = 2(1 − cos x), D = 0.3; affine ∘ residual map",
        flow, (0.0, 0.25, 0.5, 1.0, 2.0), rtol=1e-5, atol=1e-7, exact_solution=EXACT + "kuramoto",
    )  # fmt: skip


def _moving_trap_100d() -> Problem:
    """50 particles x_i in the plane: V = ½Σ|x_i − β(t)|² − (α/4N)Σ_ij|x_i − x_j|², β on a circle, α = ½."""
    particles, repulsion, turn = 50, 0.5, np.pi / 2 * np.arange(50) / 50
    pairs = np.kron(np.full((particles, particles), repulsion / particles), np.eye(2))
    right, up = np.tile(np.eye(2), particles)
    start = 2 * np.stack([1 + np.cos(4 * turn), np.sin(4 * turn)], axis=1).ravel()
    flow = GradientFlow(
        map=Affine(2 * particles),
        energy=circling((1 - repulsion) * np.eye(2 * particles) + pairs, right, up, np.pi) + 0.1 * Entropy(),
        reference=Gaussian(start, 0.2 * np.eye(2 * particles)),
        points=Sobol(512, seed=0),
    )
    return Problem(
        "moving-trap-100d",
        "50 particles in the plane that repel each other, in a harmonic trap that goes round a circle; affine map",
        flow, (0.0, 0.5, 1.0, 2.0, 4.0), rtol=1e-8, atol=1e-10, exact_solution=EXACT + "forced",
    )  # fmt: skip


def _manufactured_10d() -> Problem:
    solution = pkgutil.resolve_name("wgfode.validation.manufactured:manufactured")("bent", 10)
    flow = GradientFlow(
        map=Affine(10) @ Residual(10, width=40, init="axis"),
        energy=solution.terms,
        reference=solution.reference,
        points=Sobol(1024, seed=0),
        solver=Cholesky(shift=1e-8),
    )
    return Problem(
        "manufactured-10d",
        "A drift in 10-D made for an exact nonlinear map, skewed and bent; affine ∘ residual map",
        flow, (0.0, 0.1, 0.25, 0.5), rtol=1e-4, atol=1e-6, exact_solution=lambda _: solution,
    )  # fmt: skip


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "ornstein-uhlenbeck-2d": _ornstein_uhlenbeck_2d,
    "double-well-1d": _double_well_1d,
    "porous-medium-2d": _porous_medium_2d,
    "aggregation-ring": _aggregation_ring,
    "fokker-planck-10d": _fokker_planck_10d,
    "fokker-planck-30d": _fokker_planck_30d,
    "kinetic-oscillator": _kinetic_oscillator,
    "ou-time-dependent-2d": _ou_time_dependent_2d,
    "kinetic-double-well": _kinetic_double_well,
    "kuramoto": _kuramoto,
    "moving-trap-100d": _moving_trap_100d,
    "manufactured-10d": _manufactured_10d,
}
