"""The pull-back of L²(λ)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..solvers.problem import NormalProblem
from ..tangent import Tangent
from .base import Metric

Array = Any


@dataclass(frozen=True)
class Relaxed(Metric):
    """Ĝ = E[JᵀJ], the pull-back of L²(λ) (Jin, Liu, Wu, Ye & Zhou 2025): min_ξ E|Jξ − g|²."""

    of_tangent = True

    def problem(self, tangent: Tangent, weights: Array, g: Array, gradient: Array | None = None) -> NormalProblem:
        """See `Metric.problem`."""
        shape = tangent.z.shape
        xp, devices = tangent.backend.xp, tangent.backend.devices
        root = xp.sqrt(weights)[:, None]

        def weighted(field: Array) -> Array:
            return (root * field).reshape(-1)

        def pulled(y: Array) -> Array:
            return root * y.reshape(shape)

        block = tangent.separable(weights)
        return NormalProblem(
            backend=tangent.backend,
            rhs=tangent.adjoint(weights[:, None] * g) if gradient is None else gradient,
            apply=lambda xi: weighted(tangent.apply(xi)),
            adjoint=lambda y: tangent.adjoint(pulled(y)),
            form_gram=lambda: tangent.gram(weights),
            mean_diagonal=lambda: tangent.mean_diagonal(weights),
            target=weighted(g) if gradient is None else None,
            square=lambda y: devices.total(xp.sum(y * y)),
            block=None if block is None else block.followed(weighted, pulled),
        )
