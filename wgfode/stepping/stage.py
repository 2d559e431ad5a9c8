"""The equation of an implicit stage, and its linearisation.

A stage of a diagonally implicit method asks for the k with R(θ, k) = 0 at θ = θ_b + γhk, where

    R(θ, k) = (G(θ) + σ)k + ∇F(θ),        M = G + σ + γh ∂_θR        (at the beginning of the step).

With the velocity estimator R = Jᵀ W(Jk + g) + σk, the normal equation of the regularised defect |Jk + g|² + σ|k|² of
C. Lubich & J. Nick, "Regularized dynamical parametric approximation of stiff evolution problems"
(arXiv 2501.12118). Newton's method on R itself, M δ = −R, is of no use where G is nearly singular, as it is
for every map that can be extended: an iterate's R, divided by σ in the directions that hardly move the
map, is a huge velocity there, and h must be as small as for an explicit method. So k is projected first,
and the two linear problems are solved one after the other, never one inside the other:

    k̂ = −(G(θ) + σ)⁻¹∇F(θ)   the flow's own solver, started at k
    M δ = (G + σ)(k̂ − k)      a factorisation, or a Krylov method on products with M

This is Newton's method on k − f(θ_b + γhk) = 0, with the system multiplied by G + σ, so that no product with M
contains a solve. With a solver that is no shift (a spectral filter) M = I − γh Df is formed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..derivative import Linearization
from ..drive import Drive
from ..errors import InputError, choice
from ..rhs import RightHandSide

Array = Any

DENSE = 600
"""The largest m for which M is formed and factorised, where the caller leaves the choice open."""
SPACE = 80
"""Search directions that the Krylov method keeps."""


class StageEquation:
    """The stage equation of a flow on one set of points.

    `linear` is "dense" (M formed, (m, m)), "krylov" (M only applied) or "auto" (dense up to m = `DENSE`).
    Raises `InputError` where the solver cannot be used implicitly.
    """

    def __init__(self, rhs: RightHandSide, linear: str = "auto"):
        self.rhs = rhs
        self.shifted = rhs.solver.shifted
        linear = choice("linear", linear, ("auto", "dense", "krylov"))
        self.dense = linear == "dense" or (linear == "auto" and rhs.flow.size <= DENSE)
        if not self.shifted and not rhs.solver.differentiable:
            raise InputError(
                f"solver {rhs.solver!r} is not differentiable, and an implicit method needs the derivative of "
                "the right-hand side: use Cholesky, Eigh, MINRES, LSMR, Nystrom or Auto, or an explicit method"
            )

    @property
    def capacity(self) -> int:
        """Search directions to keep; 1 where M is factorised."""
        return 1 if self.dense else min(SPACE, self.rhs.flow.size)

    def at(self, theta: Array, drive: Drive) -> Linearization:
        """The metric and the energy at θ (m,): what the linearisation at θ is made of."""
        return Linearization(self.rhs, theta, drive)

    def defect(self, here: Linearization, t: Array, theta: Array, k: Array) -> Array:
        """k − f(t, θ), (m,): what is to vanish."""
        solver, problem = self.rhs.solver, self.rhs.problem(theta, here.drive.when(t))
        state, sizes = solver.init(problem, self.rhs.tolerance, near=here.state), self.rhs.sizes
        return k + solver.solve(state, start=-k * sizes).xi / sizes

    def product(self, here: Linearization, k: Array, step: Array) -> Callable[[Array], Array]:
        """v ↦ M v at θ of `here` and k, with `step` = γh."""
        if not self.shifted:
            return lambda v: v - step * here.jvp(v)
        push = self.rhs.backend.linearize(lambda theta: here.force(theta, k), here.theta)[1]
        return lambda v: self.metric(here, v) + step * push(v)

    def metric(self, here: Linearization, v: Array) -> Array:
        """(G + σ)v, or v where M = I − γh Df."""
        return here.metric(v) if self.shifted else v

    def inverse(self, here: Linearization, k: Array, step: Array) -> Callable[[Array], Array]:
        """v ↦ M⁻¹(G + σ)v from a factorisation, (m, m)."""
        backend = self.rhs.backend
        if not self.shifted:
            return backend.factored(backend.asarray(np.eye(here.problem.size)) - step * here.jacobian())
        gram = here.gram
        solve = backend.factored(gram + step * here.force_matrix(k))
        return lambda v: solve(gram @ v)

    def preconditioner(self, here: Linearization) -> Callable[[Array], Array]:
        """For M in the Krylov method: (G + σ)⁻¹, as far as the flow's solver knows it without an iteration."""
        known, sizes = self.rhs.solver.preconditioner(here.state), self.rhs.sizes
        return lambda v: known(v / sizes) / sizes
