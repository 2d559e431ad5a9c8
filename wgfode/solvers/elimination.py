"""Unknowns that are eliminated exactly before an iteration: those whose block of G is a Kronecker product.

With A = (A₁ A₂) and G₁₁ = A₁ᵀA₁ = L ⊗ R, (G₁₁ + σ)⁻¹ takes the eigenpairs of L and of R, and

    min |A₁ξ₁ + A₂ξ₂ − y|² + σ|ξ|²    is    min |Π(A₂ξ₂ − y)|² + σ|ξ₂|²

with Π the projection of (y, 0) onto the complement of the range of (A₁; √σ): A₂ᵀΠA₂ + σ is the Schur complement of
G + σ. For an affine map around a nonlinear one ξ₁ moves mean and covariance, which is most of a flow, and the iteration
on the rest takes a tenth of the steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..kronecker import KroneckerBlock
from .problem import NormalProblem

Array = Any


@dataclass(frozen=True)
class Elimination:
    """The problem of ξ₂, with vectors (m,) that are 0 in the places of ξ₁, and the way back."""

    problem: NormalProblem
    block: KroneckerBlock
    sigma: Array
    inverse: Callable[[Array], Array]
    """(G₁₁ + σ)⁻¹, (a, f) → (a, f)."""
    rest: Array
    """1 in the places of ξ₂ and 0 in those of ξ₁, (m,)."""

    @classmethod
    def of(cls, problem: NormalProblem, block: KroneckerBlock, sigma: Array) -> Elimination:
        """The elimination of `block` from (G + σ) ξ = b."""
        xp = problem.backend.xp
        sigma = problem.backend.constant(sigma)
        rest = xp.ones_like(problem.rhs) - block.put(xp.ones_like(block.take(problem.rhs)))
        return cls(problem, block, sigma, inverse_of(problem, block, sigma), rest)

    def reduced(self) -> NormalProblem:
        """min |Π(A₂ξ₂ − y)|², with m unknowns of which those of ξ₁ stay 0."""
        problem, block, xp = self.problem, self.block, self.problem.backend.xp
        root = xp.sqrt(self.sigma)

        def project(y: Array) -> Array:
            q = self.inverse(block.adjoint(y))
            return xp.concat([y - block.apply(q), -root * q.reshape(-1)])

        return NormalProblem(
            backend=problem.backend,
            rhs=self.force(problem.rhs),
            apply=lambda xi: project(problem.apply(self.rest * xi)),
            # on the range of Π alone, where A₁ᵀ and √σ cancel
            adjoint=lambda y: self.rest * problem.adjoint(y[: len(y) - block.count]),
            form_gram=problem.form_gram,
            mean_diagonal=problem.mean_diagonal,
            target=None if problem.target is None else project(problem.target),
            square=lambda y: problem.squared(y[: len(y) - block.count]) + xp.sum(y[len(y) - block.count :] ** 2),
        )

    def force(self, b: Array) -> Array:
        """b₂ − G₂₁(G₁₁ + σ)⁻¹b₁, (m,) → (m,)."""
        moved = self.block.apply(self.inverse(self.block.take(b)))
        return self.rest * (b - self.problem.adjoint(moved))

    def energy(self, b: Array) -> Array:
        """b₁ᵀ(G₁₁ + σ)⁻¹b₁, 0-dim: the part of ξᵀ(G + σ)ξ that is known beforehand."""
        moved = self.block.take(b)
        return self.problem.backend.xp.sum(moved * self.inverse(moved))

    def recovered(self, xi: Array, b: Array) -> Array:
        """ξ from ξ₂, with ξ₁ = (G₁₁ + σ)⁻¹(b₁ − G₁₂ξ₂)."""
        xi = self.rest * xi
        left = self.block.take(b) - self.block.adjoint(self.problem.apply(xi))
        return xi + self.block.put(self.inverse(left))


def inverse_of(problem: NormalProblem, block: KroneckerBlock, sigma: Array) -> Callable[[Array], Array]:
    """P ↦ (L ⊗ R + σ)⁻¹P, (a, f) → (a, f); NaN where L or R is not finite."""
    xp = problem.backend.xp
    pairs = []
    for matrix in (block.left, block.right):
        matrix = problem.backend.constant(matrix)
        finite = xp.all(xp.isfinite(matrix))  # LAPACK may raise on NaN
        values, vectors = xp.linalg.eigh(xp.where(finite, matrix, xp.zeros_like(matrix)))
        pairs.append((xp.where(finite, values, xp.full_like(values, float("nan"))), vectors))
    (left, U), (right, V) = pairs
    scale = 1 / (xp.maximum(left[:, None] * right[None, :], 0 * left[:, None]) + sigma)
    return lambda P: U @ (scale * (U.T @ P @ V)) @ V.T
