"""The equation of an implicit stage, and its linearisation.

A stage of a diagonally implicit method asks for the k with k = f(θ_b + γhk), where f(θ) = −G(θ)⁺∇F(θ). It is
solved in one of two forms.

Residual form:    R(θ_b + γhk, k) = 0,    R(θ, k) = (G(θ) + σ)k + ∇F(θ),

    with the linearisation M = G + σ + γh ∂_θR. No metric is inverted inside the iteration, so that a Krylov
    method on M has no other one inside it. The shift σ is the regularisation of C. Lubich & J. Nick, "Regularized
    dynamical parametric approximation of stiff evolution problems" (arXiv 2501.12118): with the
    velocity estimator the equation is Jᵀ W(Jk + g) + σk = 0, the normal equation of min |Jk + g|² + σ|k|².

Solved form:      k − f(θ_b + γhk) = 0,

    with M = I − γh Df, for direct solvers that are no shift (a spectral filter has no residual form), and
    for solvers that users write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .derivative import Linearization
from .errors import InputError, choice
from .rhs import RightHandSide
from .solvers import Cholesky
from .solvers.iterative import Krylov

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
        self.residual_form = isinstance(rhs.solver, Cholesky | Krylov)
        linear = choice("linear", linear, ("auto", "dense", "krylov"))
        self.dense = linear == "dense" or (linear == "auto" and rhs.flow.size <= DENSE)
        if not self.residual_form and not getattr(rhs.solver, "differentiable", True):
            raise InputError(
                f"solver {rhs.solver!r} is not differentiable, and an implicit method needs the derivative of "
                "the right-hand side: use Cholesky, Eigh, MINRES, LSMR or Auto, or an explicit method"
            )

    @property
    def capacity(self) -> int:
        """Search directions to keep; 1 where M is factorised."""
        return 1 if self.dense else min(SPACE, self.rhs.flow.size)

    def at(self, theta: Array, z: Array, weights: Array) -> Linearization:
        """The metric and the energy at θ (m,): what the linearisation at θ is made of."""
        return Linearization(self.rhs, theta, z, weights)

    def residual(self, here: Linearization, theta: Array, k: Array) -> Array:
        """What is to vanish: R(θ, k), or k − f(θ), (m,)."""
        if self.residual_form:
            problem = self.rhs.problem(theta, here.z, here.weights)
            return problem.residual(-k, here.sigma)
        return k - self.rhs.evaluate(theta, here.z, here.weights).velocity

    def product(self, here: Linearization, k: Array, step: Array) -> Callable[[Array], Array]:
        """v ↦ M v at θ of `here` and k, with `step` = γh."""
        if not self.residual_form:
            return lambda v: v - step * here.jvp(v)
        push = self.rhs.backend.linearize(lambda theta: here.force(theta, k), here.theta)[1]
        return lambda v: here.problem.apply_gram(v) + here.sigma * v + step * push(v)

    def inverse(self, here: Linearization, k: Array, step: Array) -> Callable[[Array], Array]:
        """v ↦ M⁻¹v from a factorisation, (m, m)."""
        backend = self.rhs.backend
        identity = backend.asarray(np.eye(here.problem.size))
        if self.residual_form:
            matrix = here.problem.gram + here.sigma * identity + step * here.force_matrix(k)
        else:
            matrix = identity - step * here.jacobian()
        return backend.factored(matrix)

    def preconditioner(self, here: Linearization) -> Callable[[Array], Array]:
        """For M in the Krylov method: (G + σ)⁻¹ where the flow's solver factorises G, else nothing."""
        if not isinstance(self.rhs.solver, Cholesky):
            return lambda v: v
        identity = self.rhs.backend.asarray(np.eye(here.problem.size))
        return self.rhs.backend.factored(here.problem.gram + here.sigma * identity)

    def velocity(self, here: Linearization) -> Array:
        """f at θ of `here`: the explicit first stage of a run, (m,)."""
        return here.velocity


