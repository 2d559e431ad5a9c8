"""Implicit methods for diffrax: its own with a root finder that works, and ours of `wgfode.stepping.esdirk`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx

from ...errors import choice
from ...stepping.adaptive import scaled
from ...stepping.esdirk import ITERATIONS, PATIENCE, ImplicitStep
from ...stepping.methods import IMPLICIT
from ...stepping.stage import StageEquation
from ...stepping.tableau import TABLEAUS
from .root_finder import Chord

if TYPE_CHECKING:
    from .rhs import DiffraxRightHandSide

Array = Any


def implicit(method: str = "Kvaerno5", *, linear_solver: lx.AbstractLinearSolver | None = None, rtol: float = 1e-4,
             max_steps: int = 20) -> diffrax.AbstractImplicitSolver:  # fmt: skip
    """diffrax's ImplicitEuler, Kvaerno3/4/5 or KenCarp3/4/5, with a root finder that suits a gradient flow.

    - `linear_solver`: dense (lineax.LU(), the default) or matrix-free, such as `lineax.GMRES(rtol=1e-3, atol=1e-9)`;
    - `rtol`: of the Newton iteration, relative to the root mean square of dθ/dt. Above the relative error of the
      right-hand side's own linear solve, or the iteration chases noise;
    - `max_steps`: iterations after which a step is rejected.

    KenCarp methods want `diffrax.MultiTerm(explicit, implicit)`, as always. Raises `InputError` for an unknown
    method, with the nearest names.
    """
    name = choice("method", method, IMPLICIT)
    kind = ImplicitEuler if name == "ImplicitEuler" else getattr(diffrax, name)
    if linear_solver is None:
        linear_solver = lx.AutoLinearSolver(well_posed=None)
    finder = Chord(rtol=rtol, linear_solver=linear_solver)
    return kind(root_finder=finder, root_find_max_steps=max_steps)


class ImplicitEuler(diffrax.ImplicitEuler):
    """diffrax's implicit Euler method, whose step is repeated with a smaller h where its stage was not solved.

    (In diffrax 0.7.2 the run goes on from whatever the root finder left.)
    """

    def step(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any, solver_state: Any, made_jump: Any) -> tuple:
        end, error, dense, state, result = super().step(terms, t0, t1, y0, args, solver_state, made_jump)
        solved = result == diffrax.RESULTS.successful
        error = jax.tree.map(lambda part: jnp.where(solved, part, jnp.inf), error)
        return end, error, dense, state, result


class FlowESDIRK(diffrax.AbstractAdaptiveSolver):
    """An ESDIRK method for one gradient flow, its stages solved by `wgfode.stepping.esdirk`: no solve inside a solve.

    `f` is the right-hand side that the term holds. `rtol` and `atol` should be the step-size controller's: they
    say when a stage is good enough. `linear` is "dense", "krylov" or "auto" (by size).
    """

    f: Any = eqx.field(static=True)
    method: str = eqx.field(static=True, default="Kvaerno5")
    rtol: float = eqx.field(static=True, default=1e-6)
    atol: float = eqx.field(static=True, default=1e-8)
    error_norm: str = eqx.field(static=True, default="parameters")
    linear: str = eqx.field(static=True, default="auto")
    iterations: int = eqx.field(static=True, default=ITERATIONS)

    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar = diffrax.ThirdOrderHermitePolynomialInterpolation.from_k

    def order(self, terms: Any) -> int:
        return TABLEAUS[self.method].order

    def error_order(self, terms: Any) -> int:
        return TABLEAUS[self.method].error_order

    def func(self, terms: Any, t0: Any, y0: Array, args: Any) -> Array:
        return terms.vf(t0, y0, args)

    def init(self, terms: Any, t0: Any, t1: Any, y0: Array, args: Any) -> tuple[Array, Array, Array]:
        """(whether the first stage is still to be computed, the last stage, evaluations so far)."""
        return jnp.asarray(True), jnp.zeros_like(y0), jnp.asarray(0.0, y0.dtype)

    def step(
        self, terms: Any, t0: Any, t1: Any, y0: Array, args: Any, solver_state: Any, made_jump: Any
    ) -> tuple[Array, Array, dict, Any, Any]:
        fresh, last, evaluations = solver_state
        rhs = self.f.rhs
        one_step = ImplicitStep(StageEquation(rhs, self.linear), TABLEAUS[self.method], self.iterations)
        drive = self.f.drive(t0, args)
        k = jax.lax.cond(fresh | made_jump, lambda: one_step.start(y0, drive), lambda: last)
        measure = scaled(rhs, self.error_norm, self.rtol, self.atol)
        h = jnp.asarray(t1 - t0, y0.dtype)
        made = one_step(y0, k, h, drive, lambda delta: measure(delta, y0, drive))
        error = jnp.where(made.converged, made.error, jnp.inf)  # a failed stage: the controller makes h smaller
        end = jnp.where(made.converged, made.theta, y0)
        dense = {"y0": y0, "y1": end, "k": h * made.stages}
        state = (jnp.asarray(False), made.velocity, evaluations + made.evaluations)
        failed, good = diffrax.RESULTS.nonlinear_divergence, diffrax.RESULTS.successful
        return end, error, dense, state, diffrax.RESULTS.where(made.converged, good, failed)


class MetricNorm(diffrax.AbstractAdaptiveStepSizeController):
    """A PID controller that measures an error δθ by the mass it displaces.

    That is (E|Jδθ|²)^½, against atol + rtol (E|T − ET|²)^½.
    """

    rtol: Any
    atol: Any
    norm: Any
    f: Any = eqx.field(static=True)
    pid: Any

    @classmethod
    def around(cls, f: DiffraxRightHandSide, pid: Any) -> MetricNorm:
        """`pid` with the error measured by the flow of `f`."""
        return cls(pid.rtol, pid.atol, pid.norm, f, pid)

    def wrap(self, direction: Any) -> MetricNorm:
        return MetricNorm.around(self.f, self.pid.wrap(direction))

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, dt0: Any, args: Any, func: Any, error_order: Any) -> Any:
        return self.pid.init(terms, t0, t1, y0, dt0, args, func, error_order)

    def adapt_step_size(
        self, t0: Any, t1: Any, y0: Any, y1_candidate: Any, args: Any, y_error: Any, error_order: Any,
        controller_state: Any,
    ) -> Any:  # fmt: skip
        measure = scaled(self.f.rhs, "metric", self.pid.rtol, self.pid.atol)
        finite = jnp.isfinite(y_error).all()
        size = measure(jnp.where(finite, y_error, 0), y0, self.f.drive(t0, args))
        # an error of that size in a PID controller's own units: against y = 0 its scale is atol
        size = jnp.where(finite, size, jnp.inf) * self.pid.atol
        zero = jnp.zeros_like(y0)
        return self.pid.adapt_step_size(
            t0, t1, zero, zero, args, jnp.full_like(y0, size), error_order, controller_state
        )


def solver_for(f: DiffraxRightHandSide, method: Any) -> FlowESDIRK:
    """The solver with which `wgfode.solve` runs an implicit `method`."""
    iterations = ITERATIONS if method.step_size is None else PATIENCE
    return FlowESDIRK(f, method.name, method.rtol, method.atol, method.error_norm, iterations=iterations)


def controller_for(f: DiffraxRightHandSide, method: Any) -> Any:
    """The step-size controller with the method's tolerances and error norm."""
    pid = diffrax.PIDController(rtol=method.rtol, atol=method.atol)
    return MetricNorm.around(f, pid) if method.error_norm == "metric" else pid


def evaluations_of(solver_state: Any) -> int:
    """The right-hand sides that a `FlowESDIRK` has counted; 0 for the state of another solver."""
    return int(solver_state[2]) if isinstance(solver_state, tuple) and len(solver_state) == 3 else 0
