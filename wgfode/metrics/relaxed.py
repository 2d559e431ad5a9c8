"""The metric tensor: which least-squares problem gives the parameters' velocity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..solvers.problem import NormalProblem
from ..tangent import Tangent

Array = Any

PROBES = 4
"""Random sign fields with which the mean diagonal of a metric that is not formed is estimated."""


@dataclass(frozen=True)
class Relaxed:
    """Ĝ = E[JᵀJ], the pull-back of L²(λ) (Jin, Liu, Wu, Ye & Zhou 2025): min_ξ E|Jξ − g|²."""

    def count(self, dim: int) -> int:
        """The number of potentials: none."""
        return 0

    def check(self, dim: int, points: int, what: str = "points") -> str | None:
        """Nothing can be wrong, and there is nothing to warn of."""
        return None

    def diagnose(
        self, tangent: Tangent, weights: Array, held_out: Tangent, weights_out: Array, xi: Array, g_out: Array
    ) -> dict[str, Array]:
        """What the metric adds to the dataset: nothing."""
        return {}

    def problem(self, tangent: Tangent, weights: Array, g: Array, gradient: Array | None = None) -> NormalProblem:
        """The linear problem whose solution ξ is −θ̇.

        `g` (N, d) is ∇(δF/δρ) at the pushed points. `gradient` (m,) replaces its right-hand side
        E[Jᵀg] by a given ∇_θF (the "energy" estimator); then only the normal equations are known.
        """
        xp, backend = tangent.backend.xp, tangent.backend
        shape = tangent.z.shape
        root = xp.sqrt(weights)[:, None]
        # a deterministic set of signs: the right-hand side stays a function of θ
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(PROBES, *shape))
        return NormalProblem(
            backend=backend,
            rhs=tangent.adjoint(weights[:, None] * g) if gradient is None else gradient,
            apply=lambda xi: (root * tangent.apply(xi)).reshape(-1),
            adjoint=lambda y: tangent.adjoint(root * y.reshape(shape)),
            form_gram=lambda: tangent.gram(weights),
            estimate_mean_diagonal=lambda: tangent.mean_diagonal(weights, backend.asarray(signs)),
            target=(root * g).reshape(-1) if gradient is None else None,
        )
