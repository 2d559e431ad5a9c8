"""The pull-back of L²(λ)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..solvers.problem import KroneckerBlock, NormalProblem
from ..tangent import Tangent
from .base import Metric

Array = Any


@dataclass(frozen=True)
class Relaxed(Metric):
    """Ĝ = E[JᵀJ], the pull-back of L²(λ) (Jin, Liu, Wu, Ye & Zhou 2025): min_ξ E|Jξ − g|²."""

    def problem(self, tangent: Tangent, weights: Array, g: Array, gradient: Array | None = None) -> NormalProblem:
        """See `Metric.problem`."""
        shape = tangent.z.shape
        root = tangent.backend.xp.sqrt(weights)[:, None]
        block, part = None, tangent.separable(weights)
        if part is not None:
            block = KroneckerBlock(
                *part[:4],
                apply=lambda P: (root * part.apply(P)).reshape(-1),
                adjoint=lambda y: part.adjoint(root * y.reshape(shape)),
            )
        return NormalProblem(
            backend=tangent.backend,
            rhs=tangent.adjoint(weights[:, None] * g) if gradient is None else gradient,
            apply=lambda xi: (root * tangent.apply(xi)).reshape(-1),
            adjoint=lambda y: tangent.adjoint(root * y.reshape(shape)),
            form_gram=lambda: tangent.gram(weights),
            mean_diagonal=lambda: tangent.mean_diagonal(weights),
            target=(root * g).reshape(-1) if gradient is None else None,
            block=block,
        )
