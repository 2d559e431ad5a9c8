"""The derivative of the right-hand side f(θ) = −G⁺∇F, by the implicit function theorem.

With R(θ, k) = G(θ)k + ∇F(θ) and f held fixed,

    G Df[v] = −∂_θR(θ, f)[v],        Df ᵀu = −∂_θ⟨G⁺u, R(θ, f)⟩,

so each product costs one more solve with the same G, and nothing is differentiated through the solver's steps.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from .drive import Drive
from .rhs import RightHandSide
from .solvers import NormalProblem

Array = Any

BLOCK = 2**23
"""Most numbers of one array when columns of a dense Jacobian are made together."""


class Linearization:
    """f and its derivative in θ at θ (m,), under what drives it."""

    def __init__(self, rhs: RightHandSide, theta: Array, drive: Drive):
        self.rhs, self.theta, self.drive = rhs, theta, drive
        self.problem: NormalProblem = rhs.problem(theta, drive)
        self.state = rhs.state(self.problem, drive)
        self.sigma = self.state.sigma

    @cached_property
    def velocity(self) -> Array:
        """f(θ), (m,)."""
        return -self.rhs.solver.solve(self.state).xi / self.rhs.sizes

    def solve(self, y: Array) -> Array:
        """G⁺y, (m,), with the flow's own solver."""
        return self.rhs.inverse(self.state, y)

    def force(self, theta: Array, k: Array) -> Array:
        """R(θ, k) = (G(θ) + σ)k + ∇F(θ), (m,); σ is that of this linearisation, relative to the `sizes`."""
        sizes = self.rhs.sizes
        return sizes * self.rhs.problem(theta, self.drive).residual(-k * sizes, self.sigma)

    def metric(self, v: Array) -> Array:
        """(G + σ)v, (m,) → (m,), matrix-free."""
        sizes = self.rhs.sizes
        return sizes * (self.problem.apply_gram(v * sizes) + self.sigma * (v * sizes))

    @cached_property
    def gram(self) -> Array:
        """G + σ, (m, m); σ is relative to the parameters' `sizes`, as the solver's is."""
        backend = self.rhs.backend
        sizes = self.rhs.sizes * backend.xp.ones_like(self.problem.rhs)
        return sizes[:, None] * (self.state.gram + self.sigma * backend.asarray(np.eye(self.problem.size))) * sizes

    def force_derivative(self, k: Array) -> Callable[[Array], Array]:
        """v ↦ ∂_θR(θ, k)[v], (m,) → (m,)."""
        return lambda v: self.rhs.backend.jvp(lambda theta: self.force(theta, k), self.theta, v)[1]

    def force_matrix(self, k: Array) -> Array:
        """∂_θR(θ, k), (m, m), a block of columns at a time."""
        backend, m = self.rhs.backend, self.problem.size
        columns = max(1, BLOCK // int(np.prod(self.drive.z.shape)))
        derivative = backend.vmap(self.force_derivative(k))
        return backend.by_rows(derivative, backend.asarray(np.eye(m)), columns).T

    def jvp(self, v: Array) -> Array:
        """Df(θ)v, (m,) → (m,)."""
        return -self.solve(self.force_derivative(self.velocity)(v))

    def vjp(self, u: Array) -> Array:
        """Df(θ)ᵀu, (m,) → (m,)."""
        w, k = self.solve(u), self.velocity
        return -self.rhs.backend.grad(lambda theta: w @ self.force(theta, k))(self.theta)

    def jacobian(self) -> Array:
        """Df(θ), (m, m): m solves with one G."""
        backend, columns = self.rhs.backend, self.force_matrix(self.velocity).T
        solver = self.rhs.solver
        if solver.shifted and not solver.direct:  # the same equation, and who asks for (m, m) has room for G
            return -backend.xp.linalg.solve(self.gram, columns.T)
        return -backend.vmap(self.solve)(columns).T
