"""The direct solve of the shifted equation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import like
from .eigh import Eigh, filtered
from .problem import NormalProblem, Solution, Solver, checked_shift

Array = Any


@dataclass(frozen=True)
class Cholesky(Solver):
    """(G + σ) ξ = b by a Cholesky factorisation, σ = `shift` × the mean diagonal of G.

    Where G + σ is not positive definite to rounding (the factorisation fails, or a pivot is at most m·ε
    of the mean diagonal, as with a singular G in float32), ξ is what `Eigh` returns instead, and the reported
    residual is still that of (G + σ) ξ = b.

    Raises `InputError` where `shift` is negative or not finite.
    """

    shift: float = 1e-9
    name = "Cholesky"

    def __post_init__(self) -> None:
        checked_shift(self.shift)

    def prepare(self, problem: NormalProblem) -> None:
        _ = problem.gram, problem.mean_diagonal

    def sigma(self, problem: NormalProblem) -> Array:
        """`shift` × the mean diagonal of the dense G, exact, 0-dim."""
        self.prepare(problem)
        return self.shift * problem.mean_diagonal

    def solve(self, problem: NormalProblem, tolerance: float, start: Array | None = None) -> Solution:
        """See `Solver.solve`; `tolerance` and `start` play no part."""
        xp, sigma, gram = problem.backend.xp, self.sigma(problem), problem.gram
        identity = like(np.eye(problem.size), gram)
        xi, fallback = problem.backend.cholesky_solve(
            gram + sigma * identity,
            problem.rhs,
            floor=problem.size * float(xp.finfo(gram.dtype).eps) * problem.mean_diagonal,
            otherwise=lambda: filtered(problem, max(self.shift, Eigh.shift)),
        )
        relative = problem.relative(problem.residual(xi, sigma))
        return Solution(xi, relative, xp.zeros_like(relative, dtype=xp.int32), fallback)
