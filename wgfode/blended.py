"""The density's part of the force on θ, as a least-variance mixture of two unbiased estimators.

Let s = S∇log ρ be the velocity of diffusion at a pushed point (S = 1 for the entropy) and q = J_·p the field that a
parameter p moves the points with. By parts, E q·s has two forms:

    strong   E q·s          no sampling error where s is in the tangent space, for E[JᵀJ] is taken at the same points;
                            ruined by ripples of log ρ that are finer than the map resolves
    weak     −E S : ∂_x q   never sees the score, and over-fits the divergence where points are few

What sampling noise reaches ξ is that of a = q·(s − Jη) and of b = −S : ∂_x q − q·Jη, η the strong fit of s by J. Both
have the mean that is looked for, and (1 − β)a + βb has the least variance at β = E[a(a − b)]/E[(a − b)²], a number for
each parameter, here cut to [0, 1]: the correction βE[b − a] is then no more than the root mean square of a. It is a
control variate; so is the path gradient of variational inference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .energies import Energy
from .pushforward import Pushed
from .tangent import Tangent

Array = Any

FLOOR = 1e-10
"""E[(a − b)²], in units of E[a²] + E[b²], below which the two estimators are one."""


def correction(tangent: Tangent, energy: Energy, rho: Pushed, fit: Callable[[Array], Array]) -> Array:
    """β E[b − a], (m,): what the mixture adds to E[Jᵀs]. `fit` takes E[Jᵀs] to η.

    β is a constant under differentiation: its derivative is multiplied by E[b − a], which is 0 but for sampling.
    """
    backend, xp, weights = tangent.backend, tangent.backend.xp, rho.weights
    parts = [(c, term, term.stress(rho)) for c, term in energy.terms]
    dense = [(c, term, stress) for c, term, stress in parts if stress is not None]
    s = sum(c * term.gradient(rho) for c, term, _ in dense)
    divergences = sum(c * tangent.divergences(stress) for c, _, stress in dense)
    strong, weak = tangent.products(s), -divergences
    eta = fit(weights @ strong)
    fitted = tangent.products(tangent.apply(eta))
    beta = share(xp, weights, strong - fitted, weak - fitted)
    return backend.constant(beta) * (weights @ (weak - strong))


def share(xp: Any, weights: Array, a: Array, b: Array) -> Array:
    """β of each column, (m,), of samples a and b (N, m) with weights (N,)."""
    difference = a - b
    beta = (
        weights
        @ (a * difference)
        / (weights @ difference**2 + FLOOR * (weights @ (a**2 + b**2)) + xp.finfo(a.dtype).tiny)
    )
    return xp.clip(beta, 0.0, 1.0)
