"""The direct solve of the shifted equation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .direct import DenseState, Direct
from .eigh import Eigh, spectral_filter
from .problem import NormalProblem

Array = Any


@dataclass(frozen=True)
class Cholesky(Direct):
    """(G + σ) ξ = b by a Cholesky factorisation, σ = `shift` × the mean diagonal of G.

    Where G + σ is not positive definite to rounding (the factorisation fails, or a pivot is at most m·ε
    of the mean diagonal, as with a singular G in float32), ξ is what `Eigh` returns instead, and the reported
    residual is still that of (G + σ) ξ = b.

    Raises `InputError` where `shift` is negative or not finite.
    """

    shift: float = 1e-9
    name = "Cholesky"
    shifted = True

    def init(self, problem: NormalProblem, tolerance: float, near: DenseState | None = None) -> DenseState:
        """The factor of G + σ; `tolerance` and `near` play no part."""
        backend, xp, gram = problem.backend, problem.backend.xp, problem.form_gram()
        mean = xp.mean(xp.linalg.diagonal(gram))
        sigma = self.shift * mean
        inverse, fallback = backend.cholesky(
            gram + sigma * backend.asarray(np.eye(problem.size)),
            floor=problem.size * float(xp.finfo(gram.dtype).eps) * mean,
            otherwise=lambda: spectral_filter(xp, gram, max(self.shift, Eigh.shift) * mean),
        )
        return DenseState(problem, sigma, gram, inverse, fallback)

    def preconditioner(self, state: DenseState) -> Callable[[Array], Array]:
        """(G + σ)⁻¹ itself."""
        return state.inverse
