"""The right-hand side θ ↦ −Ĝ†∇F, and everything known about an evaluation of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .arrays import traced
from .backend.protocol import Backend
from .blended import correction
from .drive import Drive
from .errors import InputError
from .flow import GradientFlow, Segment
from .pushforward import Pushed, carried, push
from .solvers import NormalProblem, Solver, State, Stored
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
    """A `GradientFlow` on a backend: pure functions of θ and of what drives it.

    `tolerance` is the relative residual that solvers with `rtol=None` reach. `args` are given to the functions that
    name them, and may be given later instead; raises `InputError` where a function fails on them.
    """

    def __init__(self, flow: GradientFlow, backend: Backend, tolerance: float, args: Any = None):
        self.flow, self.backend, self.args = flow, backend, args
        self.names = flow.energy.names
        floor = 1e-13 if backend.dtype == "float64" else 2e-6
        self.tolerance = max(tolerance, floor)
        self.drawn = lru_cache(maxsize=2)(self._drawn)
        rows = flow.points.size(flow.dim) * flow.dim  # of all devices: the solver does not depend on their number
        sizes = flow.transport.sizes
        self.sizes = sizes if isinstance(sizes, float) else backend.asarray(sizes)
        self.solver: Solver = flow.solver.resolve(flow.size, rows, flow.map.shift)
        # the functions of this energy are now met with the framework's own arrays
        flow.check(backend, self._known(args))

    def initial(self) -> Array:
        """The θ of the identity map, (m,)."""
        return self.backend.asarray(self.flow.transport.initial())

    def drive(self, t: Any = 0.0, segment: Segment | None = None, args: Any = None) -> Drive:
        """What drives the flow at time t: by default in the segment that begins with or holds t, with its own args."""
        as_, constant = self.backend.asarray, self.backend.constant
        t = t if "t" in self.names else constant(t)  # torchdiffeq's step sizes, and so its times, may require grad
        if segment is None:
            segment = self.flow.segment(float(constant(t)))
        elif self.flow.jumps:
            t = self.flow.within(float(constant(t)), segment)
        z, weights, *known = map(self.backend.rows, self.drawn(segment.points))
        return Drive(z, weights, as_(t), self.arguments(args), self.factor(segment.points), *known)

    def placed(self, z: np.ndarray, weights: np.ndarray) -> tuple[Array, ...]:
        """Points z (N, d) of the reference's origin with weights (N,), as `Drive.on` takes them, split over devices."""
        return tuple(map(self.backend.rows, self.at(*self.backend.devices.part(z, weights))))

    def arguments(self, args: Any = None) -> Any:
        """`args`, or where there are none its own, in the backend's arrays; `InputError` where they are missing."""
        args = self.args if args is None else args
        if args is None and "args" in self.names:
            raise InputError(
                f"a function of energy {self.flow.energy!r} names args, and none were given: right_hand_side(flow, "
                "args=…), solve(…, args=…), or with diffrax diffeqsolve(f.term, …, args=…)"
            )
        return self.backend.as_args(args)

    def _known(self, args: Any) -> Any:
        """`args` to try functions with, or None where only a tracer of jax knows them."""
        args = self.backend.constant(self.backend.as_args(args))
        return None if any(map(traced, self.backend.leaves(args))) else args

    def _drawn(self, segment: int) -> tuple[np.ndarray, ...]:
        """What drives the flow in a segment between resampling times, numpy: this process's points, see `at`."""
        drawn = self.flow.points.draw(self.flow.reference.origin, segment)
        return self.at(*self.backend.devices.part(*drawn))

    def at(self, z: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, ...]:
        """Points z (N, d) of the reference's origin with weights (N,), as `Drive.on` takes them (`carried`)."""
        if not self.flow.reference.layers:
            return z, weights
        as_ = self.backend.asarray
        return tuple(map(self.backend.to_numpy, carried(self.backend, self.flow.reference, as_(z), as_(weights))))

    @lru_cache(maxsize=2)  # noqa: B019 - as above
    def factor(self, segment: int) -> Stored | None:
        """G of a segment's points, factorised, where it is the same at every θ and one device has them all; or None."""
        flow, as_ = self.flow, self.backend.asarray
        if self.backend.devices.count > 1 or not (flow.transport.constant_tangent and flow.metric.of_tangent):
            return None

        def factorised() -> Stored | None:
            z, weights, *_ = map(as_, self.drawn(segment))
            tangent = self.tangent(self.initial(), z)
            problem = flow.metric.problem(tangent, weights, 0 * z)
            return self.solver.stored(self.solver.init(problem, self.tolerance))

        return self.backend.now(factorised)

    def alone(self) -> RightHandSide:
        """The same with all points on one device, for what is told of single ones."""
        if self.backend.devices.count == 1:
            return self
        return RightHandSide(self.flow, self.backend.alone(), self.tolerance, self.args)

    def pushed(self, theta: Array, drive: Drive, *, score: bool = True) -> Pushed:
        """ρ_θ at the images of the points, with its density where the energy needs one."""
        flow = self.flow
        return push(self.backend, flow.transport, flow.reference, theta, drive,
                    density=flow.energy.needs_density, score=score)  # fmt: skip

    def energy(self, theta: Array, drive: Drive) -> Array:
        """F(ρ_θ) sampled at the points, a scalar: of the terms that have an energy."""
        rho = self.pushed(theta, drive, score=False)
        return sum(c * term.value(rho) for c, term in self.flow.energy.with_energy)

    def driving_force(self, rho: Pushed) -> Array:
        """g = ∇(δF/δρ) at the pushed points, (N, d)."""
        return sum(c * term.gradient(rho) for c, term in self.flow.energy.terms)

    def problem(self, theta: Array, drive: Drive) -> NormalProblem:
        """The linear problem for ξ = −`sizes` · θ̇, (m,): in it a shift means the same for every parameter."""
        metric, weights, tangent = self.flow.metric, drive.weights, self.tangent(theta, drive.z)
        if self.flow.estimator == "energy":
            gradient = self.backend.grad(lambda parameters: self.energy(parameters, drive))(theta)
            return metric.problem(tangent, weights, None, gradient / self.sizes)
        rho = self.pushed(theta, drive)
        g = self.driving_force(rho)
        if self.flow.estimator == "velocity" or not self.flow.energy.needs_density:
            return metric.problem(tangent, weights, g)

        def fit(b: Array) -> Array:
            problem = metric.problem(tangent, weights, None, b)
            return self.solver.solve(self.state(problem, drive)).xi

        force = tangent.adjoint(weights[:, None] * g)
        return metric.problem(tangent, weights, None, force + correction(tangent, self.flow.energy, rho, fit))

    def tangent(self, theta: Array, z: Array) -> Tangent:
        """J(θ) at points z (N, d), for parameters measured in their `sizes`."""
        return Tangent(self.backend, self.flow.transport, theta, z, self.flow.transport.sizes)

    def state(self, problem: NormalProblem, drive: Drive) -> State:
        """What the solver knows of the problem before its right-hand side, stored or made now."""
        if drive.factor is not None:
            return self.solver.restored(problem, drive.factor)
        return self.solver.init(problem, self.tolerance)

    def inverse(self, state: Any, y: Array) -> Array:
        """G⁺y, (m,) → (m,), in the parameters themselves, from the solver's `state` of the problem at θ."""
        return self.solver.solve(state, y / self.sizes).xi / self.sizes

    def evaluate(self, theta: Array, drive: Drive) -> Evaluation:
        """θ̇ = −Ĝ†∇F at θ (m,).

        Differentiable in θ and in what drives it, by the implicit function theorem: G dξ = db − dG ξ.
        """
        problem = self.problem(theta, drive)
        # here, not inside of the root: what is formed in a traced function is of no use outside of it
        state = self.state(problem, drive)
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

    def diagnose(self, theta: Array, drive: Drive, held_out: Drive) -> dict[str, Array]:
        """What is known of ρ_θ and of the flow at θ (m,), from what drives it and from held-out points.

        The residuals are E|Jξ − g|² of the ξ really used: unbiased on the held-out points, too small
        on the driving ones.
        """
        flow, xp = self.flow, self.backend.xp
        evaluation = self.evaluate(theta, drive)
        report: dict[str, Array] = {
            "velocity": evaluation.velocity,
            "linear_residual": evaluation.linear_residual,
            "linear_steps": evaluation.linear_steps,
            "linear_fallback": evaluation.linear_fallback,
        }

        driving = self.pushed(theta, drive)
        missed = self.defect(theta, evaluation.velocity, drive.z, driving)[2]
        report["residual_in_sample"] = driving.mean(squares(xp, missed))
        dense = flow.transport.has_density and flow.reference.has_density
        rho = push(self.backend, flow.transport, flow.reference, theta, held_out, density=dense)
        moved, g, missed = self.defect(theta, evaluation.velocity, held_out.z, rho)
        report["dissipation"], report["force"] = rho.mean(squares(xp, moved)), rho.mean(squares(xp, g))
        report |= mean_and_error(xp, squares(xp, missed), held_out.weights, self.backend.devices.total)
        report["x"] = rho.x
        if dense:
            report["log_density"] = rho.log_density
            report["min_jacobian"] = rho.least(rho.jacobian)
        report |= flow.metric.diagnose(rho, missed, g, lambda: (self.tangent(theta, drive.z), drive.weights))
        diffusivities = [term.least_diffusivity(rho) for _, term in flow.energy.terms]
        if known := [value for value in diffusivities if value is not None]:
            report["least_diffusivity"] = xp.min(xp.stack(known))
        if flow.energy.with_energy:
            report["energy_term"] = xp.stack([c * term.value(rho) for c, term in flow.energy.with_energy])
        return report

    def squared_defect(self, theta: Array, velocity: Array, drive: Drive) -> Array:
        """|J θ̇ + g|² at the points, (N,), of any velocity θ̇ (m,)."""
        return squares(self.backend.xp, self.defect(theta, velocity, drive.z, self.pushed(theta, drive))[2])

    def residual_of(self, theta: Array, velocity: Array, drive: Drive) -> dict[str, Array]:
        """`residual` E|J θ̇ + g|² and `residual_error` at the points, of any velocity θ̇ (m,)."""
        squared, total = self.squared_defect(theta, velocity, drive), self.backend.devices.total
        return mean_and_error(self.backend.xp, squared, drive.weights, total)

    def defect(self, theta: Array, velocity: Array, z: Array, rho: Pushed) -> tuple[Array, Array, Array]:
        """Jξ, g and Jξ − g at points z, (N, d) each, of ξ = −θ̇."""
        moved = -self.backend.jvp(lambda p: self.flow.transport(p, z), theta, velocity)[1]
        g = self.driving_force(rho)
        return moved, g, moved - g

    def jacobians(self, theta: Array, z: Array) -> Array:
        """det ∂_zT at points z (N, d), (N,), its sign included; of maps that have one."""
        image = self.flow.transport.push(self.backend, theta, z, None)
        return image.sign * self.backend.xp.exp(image.log_det)


def squares(xp: Any, field: Array) -> Array:
    """|field|² at points, (N, d) → (N,)."""
    return xp.sum(field**2, axis=1)


def mean_and_error(
    xp: Any, squared: Array, weights: Array, total: Callable[[Array], Array] = lambda part: part
) -> dict[str, Array]:
    """The weighted mean of |Jξ − g|² (N,), and its standard error as of independent points; Sobol points do better.

    The error is that of a self-normalised mean, Σw²(f − f̄)², over 1 − Σw² for the degree of freedom that the mean
    took. (1/Σw² is Kish's effective number of points.) Of one point it is NaN. `total` is `Devices.total`, where the
    points are split.
    """
    mean = total(xp.sum(weights * squared))
    spread = total(xp.sum((weights * (squared - mean)) ** 2))
    return {"residual": mean, "residual_error": xp.sqrt(spread / (1 - total(xp.sum(weights**2))))}
