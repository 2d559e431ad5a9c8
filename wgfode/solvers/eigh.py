"""The smooth spectral filter: a pseudo-inverse without a cut-off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .problem import NormalProblem, Solution, Solver, checked_shift

Array = Any


@dataclass(frozen=True)
class Eigh(Solver):
    """ξ = Σ f(λᵢ)/λᵢ vᵢvᵢᵀb over the eigenpairs of G, with f(λ) = 1/(1 + (σ/λ)⁶).

    σ = `shift` × the mean diagonal of G, and not below the rounding level m·ε·λ_max of the eigenvalues. The
    filter is 1 to rounding for λ ≫ σ, so that nothing is biased there, it vanishes like (λ/σ)⁶ for λ ≪ σ, so
    that a kernel is left alone, and it is smooth between: a hard cut-off makes an adaptive integrator
    reject half of its steps. It is the filter of M. Medvidović and D. Sels, "Variational quantum dynamics of
    two-dimensional rotor models", arXiv:2212.11289.

    Raises `InputError` where `shift` is negative or not finite.
    """

    shift: float = 1e-8
    name = "Eigh"

    def __post_init__(self) -> None:
        checked_shift(self.shift)

    def prepare(self, problem: NormalProblem) -> None:
        _ = problem.gram, problem.mean_diagonal

    def sigma(self, problem: NormalProblem) -> Array:
        """0: a filter solves G ξ = b on the part of b that it lets through, and adds no shift to G."""
        return 0 * problem.mean_diagonal

    def solve(self, problem: NormalProblem, tolerance: float, start: Array | None = None) -> Solution:
        """See `Solver.solve`; `tolerance` and `start` play no part. What f removes of b is residual."""
        self.prepare(problem)
        xi = filtered(problem, self.shift)
        relative = problem.relative(problem.residual(xi))
        return Solution(xi, relative, problem.backend.xp.zeros_like(relative, dtype=problem.backend.xp.int32))


def filtered(problem: NormalProblem, shift: float) -> Array:
    """Σ f(λᵢ)/λᵢ vᵢvᵢᵀb, (m,), with σ = `shift` × the mean diagonal; NaN where G is not finite."""
    xp, gram = problem.backend.xp, problem.gram
    # a LAPACK call may raise on NaN, where an integrator would rather reject the step
    finite = xp.all(xp.isfinite(gram))
    values, vectors = xp.linalg.eigh(xp.where(finite, gram, xp.zeros_like(gram)))
    rounding = problem.size * float(xp.finfo(gram.dtype).eps) * xp.max(values)
    inverse = inverse_filter(xp, values, xp.maximum(shift * problem.mean_diagonal, rounding))
    xi = vectors @ (inverse * (vectors.T @ problem.rhs))
    return xp.where(finite, xi, xp.full_like(xi, float("nan")))


def inverse_filter(xp: Any, values: Array, sigma: Array) -> Array:
    """f(λ)/λ for each λ of `values`, (m,), with f(λ) = 1/(1 + (σ/λ)⁶); 0 for λ ≤ 0, with no overflow."""
    one = xp.ones_like(values)
    sigma = xp.where(sigma > 0, sigma, xp.ones_like(sigma))
    above = values > sigma
    large = xp.where(above, values, one)  # each branch sees only arguments that are safe in it
    small = xp.where(above, 0 * one, xp.maximum(values, 0 * one)) / sigma
    return xp.where(above, 1 / (large * (1 + (sigma / large) ** 6)), small**5 / (1 + small**6) / sigma)
