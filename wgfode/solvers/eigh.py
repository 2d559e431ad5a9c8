"""The smooth spectral filter: a pseudo-inverse without a cut-off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .direct import DenseState, Direct
from .problem import NormalProblem

Array = Any


@dataclass(frozen=True)
class Eigh(Direct):
    """ξ = Σ f(λᵢ)/λᵢ vᵢvᵢᵀb over the eigenpairs of G, with f(λ) = 1/(1 + (σ/λ)⁶).

    σ = `shift` × the mean diagonal of G, and not below the rounding level m·ε·λ_max of the eigenvalues. The
    filter is 1 to rounding for λ ≫ σ, so that nothing is biased there, it vanishes like (λ/σ)⁶ for λ ≪ σ, so
    that a kernel is left alone, and it is smooth between: a hard cut-off makes an adaptive integrator
    reject half of its steps. It is the filter of M. Medvidović and D. Sels, "Variational quantum dynamics of
    two-dimensional rotor models", arXiv:2212.11289.

    The equation that is solved is G ξ = b, on the part of b that the filter lets through: what f removes of b is
    residual. Raises `InputError` where `shift` is negative or not finite.
    """

    shift: float = 1e-8
    name = "Eigh"

    def init(self, problem: NormalProblem, tolerance: float, near: DenseState | None = None) -> DenseState:
        """The filtered eigenpairs of G; `tolerance` and `near` play no part."""
        xp, gram = problem.backend.xp, problem.form_gram()
        mean = xp.mean(xp.linalg.diagonal(gram))
        vectors, inverse = spectral_filter(xp, gram, self.shift * mean)
        return DenseState(problem, 0 * mean, gram, lambda b: vectors @ (inverse * (vectors.T @ b)))


def spectral_filter(xp: Any, gram: Array, sigma: Array) -> tuple[Array, Array]:
    """The eigenvectors vᵢ (m, m) and f(λᵢ)/λᵢ (m,) of G; NaN where G is not finite."""
    # a LAPACK call may raise on NaN, where an integrator would rather reject the step
    finite = xp.all(xp.isfinite(gram))
    values, vectors = xp.linalg.eigh(xp.where(finite, gram, xp.zeros_like(gram)))
    rounding = gram.shape[0] * float(xp.finfo(gram.dtype).eps) * xp.max(values)
    inverse = inverse_filter(xp, values, xp.maximum(sigma, rounding))
    return vectors, xp.where(finite, inverse, xp.full_like(inverse, float("nan")))


def inverse_filter(xp: Any, values: Array, sigma: Array) -> Array:
    """f(λ)/λ for each λ of `values`, (m,), with f(λ) = 1/(1 + (σ/λ)⁶); 0 for λ ≤ 0, with no overflow."""
    one = xp.ones_like(values)
    sigma = xp.where(sigma > 0, sigma, xp.ones_like(sigma))
    above = values > sigma
    large = xp.where(above, values, one)  # each branch sees only arguments that are safe in it
    small = xp.where(above, 0 * one, xp.maximum(values, 0 * one)) / sigma
    return xp.where(above, 1 / (large * (1 + (sigma / large) ** 6)), small**5 / (1 + small**6) / sigma)
