"""Conjugate gradients, preconditioned by a randomized low-rank approximation of G."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import positive_int
from .iterative import Krylov, Pass, divide, norm, rounding_unit
from .problem import NormalProblem

Array = Any

COLUMNS = 2**23
"""Most numbers of one block of products with G."""


@dataclass(frozen=True)
class Nystrom(Krylov):
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

    def prepare(self, problem: NormalProblem) -> None:
        _ = problem.mean_diagonal
        self.sketch(problem)

    def sketch(self, problem: NormalProblem) -> tuple[Array, Array]:
        """(U, λ) with G ≈ U diag(λ) Uᵀ, (m, r) and (r,), λ descending; kept on the problem."""
        if "sketch" not in problem.__dict__:
            problem.__dict__["sketch"] = self._drawn(problem)
        return problem.__dict__["sketch"]

    def _drawn(self, problem: NormalProblem) -> tuple[Array, Array]:
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

    def preconditioner(self, problem: NormalProblem) -> Any:
        """v ↦ P⁻¹v, (m,) → (m,): near a multiple of (G + σ)⁻¹."""
        U, values = self.sketch(problem)
        sigma = self.sigma(problem)
        xp = problem.backend.xp
        # the eigenvalue of all that U does not hold. Below √ε of the largest one the cancellation in v − UUᵀv
        # would put noise into the kernel of G
        least = xp.maximum(values[-1] + sigma, rounding_unit(xp, values) ** 0.5 * values[0])
        excess = least / xp.where(values[0] > 0, xp.maximum(values + sigma, least), least + 1) - 1
        excess = xp.where(values[0] > 0, excess, xp.zeros_like(excess))
        return lambda v: v + U @ (excess * (U.T @ v))

    def iterate(self, begin: Pass) -> tuple[Array, Array]:
        problem, sigma, xi, residual, goal, steps, budget = begin
        xp = problem.backend.xp
        precondition = self.preconditioner(problem)

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
