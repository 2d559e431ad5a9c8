"""Conjugate gradients, preconditioned by a randomized low-rank approximation of G."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import positive_int
from .iterative import Krylov, KrylovState, Pass, divide, norm, rounding_unit
from .problem import NormalProblem

Array = Any

COLUMNS = 2**23
"""Most numbers of one block of products with G."""


@dataclass(frozen=True)
class SketchedState(KrylovState):
    """What is known of G, with a low-rank approximation of it or of a G near by."""

    sketch: tuple[Array, Array]
    """(U, λ), see `Nystrom.sketch`."""


@dataclass(frozen=True)
class Nystrom(Krylov[SketchedState]):
    """(G + σ) ξ = b by conjugate gradients, matrix-free; see `Krylov` for the other settings.

    The preconditioner is that of Z. Frangella, J. A. Tropp & M. Udell, "Randomized Nyström
    preconditioning", SIAM J. Matrix Anal. Appl. 44 (2023) 718–752: from `rank` products with G it knows the
    large eigenvalues, and only those between σ and the largest one it missed are left to the iteration. Work and
    memory are linear in m. The metric of a map of many layers is of that kind: few
    large eigenvalues, and a long tail. Raises `InputError` where `rank` < 1, and as `Krylov` does.
    """

    shift: float = 1e-6
    rank: int = 256
    name = "Nystrom"

    def __post_init__(self) -> None:
        super().__post_init__()
        positive_int("rank", self.rank)

    def init(self, problem: NormalProblem, tolerance: float, near: SketchedState | None = None) -> SketchedState:
        """σ, the goal and a sketch of G, or that of `near`."""
        known = self.known(problem, tolerance)
        sketch = self.sketch(problem) if near is None else near.sketch
        return SketchedState(**vars(known), sketch=sketch)

    def sketch(self, problem: NormalProblem) -> tuple[Array, Array]:
        """(U, λ) with G ≈ U diag(λ) Uᵀ, (m, r) and (r,), λ descending."""
        backend, xp, m = problem.backend, problem.backend.xp, problem.size
        rank = min(self.rank, m)
        test = backend.asarray(_test_matrix(m, rank))
        rows = max(1, COLUMNS // max(problem.rows or m, m))
        images = backend.constant(backend.by_rows(backend.vmap(problem.apply_gram), test.T, rows)).T
        images = xp.where(xp.all(xp.isfinite(images)), images, xp.zeros_like(images))  # LAPACK may raise on NaN
        core = test.T @ images
        values, vectors = xp.linalg.eigh(0.5 * (core + core.T))
        largest = xp.max(values)
        floor = rank * rounding_unit(xp, images) * largest
        known = values > floor
        root = xp.where(known, 1 / xp.sqrt(xp.where(known, values, xp.ones_like(values))), xp.zeros_like(values))
        U, singular, _ = xp.linalg.svd((images @ vectors) * root, full_matrices=False)
        return U, singular**2

    def preconditioner(self, state: SketchedState) -> Callable[[Array], Array]:
        """v ↦ P⁻¹v, (m,) → (m,): near a multiple of (G + σ)⁻¹."""
        (U, values), sigma, xp = state.sketch, state.sigma, state.problem.backend.xp
        # the eigenvalue of all that U does not hold. Below √ε of the largest one the cancellation in v − UUᵀv
        # would put noise into the kernel of G
        least = xp.maximum(values[-1] + sigma, rounding_unit(xp, values) ** 0.5 * values[0])
        excess = least / xp.where(values[0] > 0, xp.maximum(values + sigma, least), least + 1) - 1
        excess = xp.where(values[0] > 0, excess, xp.zeros_like(excess))
        return lambda v: v + U @ (excess * (U.T @ v))

    def iterate(self, known: SketchedState, begin: Pass) -> tuple[Array, Array]:
        _, xi, residual, goal, steps, budget = begin
        problem, sigma, xp = known.problem, known.sigma, known.problem.backend.xp
        precondition = self.preconditioner(known)

        def proceed(state: tuple) -> Array:
            steps, _, r, _, _, gain = state
            return (norm(xp, r) > goal) & (steps < budget) & (gain > 0)

        def step(state: tuple) -> tuple:
            steps, x, r, p, rho, _ = state
            q = problem.apply_gram(p) + sigma * p
            curvature = xp.sum(p * q)
            alpha = divide(xp, rho, curvature)
            r = r - alpha * q
            z = precondition(r)
            after = xp.sum(r * z)
            # a curvature that is not positive is rounding: p is in the kernel, and the iteration is over
            return steps + 1, x + alpha * p, r, z + divide(xp, after, rho) * p, after, curvature

        z = precondition(residual)
        rho = xp.sum(residual * z)
        steps, xi, *_ = problem.backend.while_loop(proceed, step, (steps, xi, residual, z, rho, xp.ones_like(rho)))
        return xi, steps


@lru_cache(maxsize=4)
def _test_matrix(size: int, rank: int) -> np.ndarray:
    """Orthonormal columns in random directions, the same ones always: ξ stays a function of θ."""
    return np.linalg.qr(np.random.default_rng(0).standard_normal((size, rank)))[0]
