"""The right-hand side θ ↦ −Ĝ†∇F, and everything known about an evaluation of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .backend.protocol import Backend
from .checks import Trial
from .flow import GradientFlow
from .pushforward import Pushed, push
from .solvers import NormalProblem, Solver
from .tangent import Tangent

Array = Any


class Evaluation(NamedTuple):
    """One evaluation of the right-hand side."""

    velocity: Array
    """θ̇, (m,)."""
    linear_residual: Array
    """True relative residual of the linear solve."""
    linear_steps: Array
    """Iterations of the linear solve, 0 if direct."""
    linear_fallback: Array
    """1 where Cholesky failed and gave way to the smooth filter, else 0."""


class RightHandSide:
    """A `GradientFlow` on a backend: pure functions of θ and of the points that drive the flow.

    `tolerance` is the relative residual that solvers with `rtol=None` reach.
    """

    def __init__(self, flow: GradientFlow, backend: Backend, tolerance: float):
        self.flow, self.backend = flow, backend
        floor = 1e-13 if backend.dtype == "float64" else 2e-6
        self.tolerance = max(tolerance, floor)
        z, _ = self.points_of(0)
        rows, has_target = z.shape[0] * z.shape[1], flow.estimator == "velocity"
        sizes = flow.transport.sizes
        self.sizes = sizes if isinstance(sizes, float) else backend.asarray(sizes)
        self.solver: Solver = flow.solver.resolve(flow.size, rows, has_target)
        # the functions of this energy are now met with the framework's own arrays
        flow.energy.check(Trial(np.asarray(backend.to_numpy(z[:64]), float), backend.asarray, backend.to_numpy))

    def initial(self) -> Array:
        """The θ of the identity map, (m,)."""
        return self.backend.asarray(self.flow.transport.initial())

    def points_of(self, segment: int) -> tuple[Array, Array]:
        """The points (N, d) and weights (N,) that drive the flow in a segment between resampling times."""
        z, weights = self.drawn(segment)
        return self.backend.asarray(z), self.backend.asarray(weights)

    @lru_cache(maxsize=2)  # noqa: B019 - a right-hand side lives as long as its run
    def drawn(self, segment: int) -> tuple[np.ndarray, np.ndarray]:
        """`points_of` as numpy arrays, float64."""
        return self.flow.points.draw(self.flow.reference, segment)

    def pushed(self, theta: Array, z: Array, weights: Array, *, score: bool = True) -> Pushed:
        """ρ_θ at the images of z, with its density where the energy needs one."""
        flow = self.flow
        return push(self.backend, flow.transport, flow.reference, theta, z, weights,
                    density=flow.energy.needs_density, score=score)  # fmt: skip

    def energy(self, theta: Array, z: Array, weights: Array) -> Array:
        """F(ρ_θ) sampled at the points, a scalar."""
        rho = self.pushed(theta, z, weights, score=False)
        return sum(c * term.value(rho) for c, term in self.flow.energy.terms)

    def driving_force(self, rho: Pushed) -> Array:
        """g = ∇(δF/δρ) at the pushed points, (N, d)."""
        return sum(c * term.gradient(rho) for c, term in self.flow.energy.terms)

    def problem(self, theta: Array, z: Array, weights: Array) -> NormalProblem:
        """The linear problem for ξ = −`sizes` · θ̇, (m,): in it a shift means the same for every parameter."""
        tangent = self.tangent(theta, z)
        gradient = None
        if self.flow.estimator == "energy":
            gradient = self.backend.grad(lambda parameters: self.energy(parameters, z, weights))(theta)
        g = self.driving_force(self.pushed(theta, z, weights)) if gradient is None else None
        return self.flow.metric.problem(tangent, weights, g, None if gradient is None else gradient / self.sizes)

    def tangent(self, theta: Array, z: Array) -> Tangent:
        """J(θ) at points z (N, d), for parameters measured in their `sizes`."""
        return Tangent(self.backend, self.flow.transport, theta, z, self.sizes)

    def inverse(self, state: Any, y: Array) -> Array:
        """G⁺y, (m,) → (m,), in the parameters themselves, from the solver's `state` of the problem at θ."""
        return self.solver.solve(state, y / self.sizes).xi / self.sizes

    def evaluate(self, theta: Array, z: Array, weights: Array) -> Evaluation:
        """θ̇ = −Ĝ†∇F from the points z (N, d) with weights (N,).

        Differentiable in θ, by the implicit function theorem: G dξ = db − dG ξ.
        """
        problem = self.problem(theta, z, weights)
        # here, not inside of the root: what is formed in a traced function is of no use outside of it
        state = self.solver.init(problem, self.tolerance)
        sigma = self.backend.constant(state.sigma)

        def solve() -> tuple[Array, tuple[Array, Array, Array]]:
            solution = self.solver.solve(state)
            return solution.xi, (solution.relative_residual, solution.steps, solution.fallback + 0 * solution.steps)

        xi, (residual, steps, fallback) = self.backend.root(
            lambda guess: -problem.residual(guess, sigma),
            solve,
            lambda _, y: self.solver.solve(state, y).xi,
            self.backend.xp.zeros_like(theta),
        )
        return Evaluation(-xi / self.sizes, residual, steps, fallback)

    def diagnose(self, theta: Array, z: Array, weights: Array, z_out: Array, weights_out: Array) -> dict[str, Array]:
        """What is known of ρ_θ and of the flow at θ; (z, weights) drive it, (z_out, weights_out) are held out.

        The residuals are E|Jξ − g|² of the ξ really used: unbiased on the held-out points, too small
        on the driving ones.
        """
        flow, xp = self.flow, self.backend.xp
        evaluation = self.evaluate(theta, z, weights)
        report: dict[str, Array] = {
            "velocity": evaluation.velocity,
            "linear_residual": evaluation.linear_residual,
            "linear_steps": evaluation.linear_steps,
            "linear_fallback": evaluation.linear_fallback,
        }

        def defect(points: Array, rho: Pushed) -> tuple[Array, Array, Array]:
            """Jξ, g and Jξ − g at points, (N, d) each."""
            moved = -self.backend.jvp(lambda p: flow.transport(p, points), theta, evaluation.velocity)[1]
            g = self.driving_force(rho)
            return moved, g, moved - g

        def squares(field: Array) -> Array:
            return xp.sum(field**2, axis=1)

        driving = self.pushed(theta, z, weights)
        report["residual_in_sample"] = driving.mean(squares(defect(z, driving)[2]))
        dense = flow.transport.has_density and flow.reference.has_density
        rho = push(self.backend, flow.transport, flow.reference, theta, z_out, weights_out, density=dense)
        moved, g, missed = defect(z_out, rho)
        report["residual"] = rho.mean(squares(missed))
        report["dissipation"], report["force"] = rho.mean(squares(moved)), rho.mean(squares(g))
        # of a weighted mean of independent points; Sobol points do better
        report["residual_error"] = xp.sqrt(xp.sum((weights_out * (squares(missed) - report["residual"])) ** 2))
        report["x"] = rho.x
        if dense:
            report["log_density"] = rho.log_density
            report["min_jacobian"] = xp.min(rho.jacobian)
        report |= flow.metric.diagnose(rho, missed, g, lambda: (self.tangent(theta, z), weights))
        report["energy_term"] = xp.stack([c * term.value(rho) for c, term in flow.energy.terms])
        return report

    def injectivity_watch(self, n: int = 1024) -> Callable[[np.ndarray], float]:
        """θ ↦ min det ∂_zT over n held-out points, or inf where the energy needs no density."""
        if not self.flow.energy.needs_density:
            return lambda theta: np.inf
        as_ = self.backend.asarray
        z, weights = (as_(part) for part in self.flow.held_out(n))

        def smallest(theta: Array) -> Array:
            return self.backend.xp.min(self.pushed(theta, z, weights, score=False).jacobian)

        compiled = self.backend.compile(smallest)
        return lambda theta: float(compiled(as_(theta)))
