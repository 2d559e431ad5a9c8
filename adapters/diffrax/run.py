"""The runs that `wgfode.solve` makes with diffrax."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import diffrax
import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ...errors import InputError, IntegrationError
from ...stepping.methods import IMPLICIT, Method
from ...stepping.state import State
from .implicit import controller_for, evaluations_of, solver_for
from .rhs import DiffraxRightHandSide

Array = Any

# method name → (diffrax solver, right-hand sides a step, right-hand sides to start)
SOLVERS: dict[str, tuple[type, int, int]] = {
    "Euler": (diffrax.Euler, 1, 0),
    "Midpoint": (diffrax.Midpoint, 2, 0),
    "Heun": (diffrax.Heun, 2, 0),
    "Bosh3": (diffrax.Bosh3, 3, 1),
    "Tsit5": (diffrax.Tsit5, 6, 1),
    "Dopri5": (diffrax.Dopri5, 6, 1),
    "Dopri8": (diffrax.Dopri8, 13, 1),
}

CHUNK = 16
"""Steps between reports to the caller."""


class Remember(diffrax.AbstractAdaptiveStepSizeController):
    """A step-size controller whose state also holds the size of the next step, for exact restarts."""

    rtol: Any
    atol: Any
    norm: Any
    inner: Any

    @classmethod
    def around(cls, inner: Any) -> Remember:
        """`inner` with the memory added."""
        return cls(inner.rtol, inner.atol, inner.norm, inner)

    def wrap(self, direction: Any) -> Remember:
        return Remember.around(self.inner.wrap(direction))

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, dt0: Any, args: Any, func: Any, error_order: Any) -> Any:
        end, state = self.inner.init(terms, t0, t1, y0, dt0, args, func, error_order)
        return end, (state, jnp.asarray(end - t0))

    def adapt_step_size(
        self, t0: Any, t1: Any, y0: Any, y1_candidate: Any, args: Any, y_error: Any, error_order: Any,
        controller_state: Any,
    ) -> Any:  # fmt: skip
        keep, begin, end, jump, state, result = self.inner.adapt_step_size(
            t0, t1, y0, y1_candidate, args, y_error, error_order, controller_state[0]
        )
        return keep, begin, end, jump, (state, end - begin), result


def integrate(
    f: DiffraxRightHandSide,
    state: State,
    stops: np.ndarray,
    method: Method,
) -> Iterator[State]:
    """Integrate from `state` through the times `stops`, yielding a state every few steps and at each stop.

    Raises `IntegrationError` where the steps vanish or `method.max_steps` is reached; the last state
    yielded is then the last good one.
    """
    solver: Any
    if method.name in IMPLICIT:
        solver, per_step, to_start = solver_for(f, method), 0, 1
    elif method.name in SOLVERS:
        kind, per_step, to_start = SOLVERS[method.name]
        solver = kind()
    else:
        known = ", ".join((*SOLVERS, *IMPLICIT))
        raise InputError(f"method {method.name!r} is not available with diffrax (known: {known})")
    if method.step_size is None:
        if not isinstance(solver, diffrax.AbstractAdaptiveSolver):
            raise InputError(f"method {method.name!r} has no error estimate: give step_size")
        controller: Any = Remember.around(controller_for(f, method))
    else:
        controller = diffrax.ConstantStepSize()
    advance = _chunk(f, solver, controller)
    limit = min(CHUNK if method.step_size is None else CHUNK * CHUNK, method.max_steps)

    for stop in stops:
        while state.time < stop:
            # every chunk starts from the state alone, so that a run resumed there makes the same steps; it costs
            # `to_start` right-hand sides a chunk
            span = float(stop) - state.time
            fixed = None if method.step_size is None else span / method.count(span)
            memory = _start(f, solver, controller, state, float(stop), fixed)
            dt = fixed or float(memory[1][1])
            solution = advance(state.time, stop, dt, f.rhs.backend.asarray(state.theta), limit, *memory)
            steps = int(solution.stats["num_steps"])
            accepted = int(solution.stats["num_accepted_steps"])
            dt = fixed or float(solution.controller_state[1])
            end, passed = map(np.asarray, solution.ts)
            theta, between = map(np.asarray, solution.ys)
            time, inner = float(end[-1]), max(accepted - 1, 0)
            scale = max(1.0, abs(time))
            if time - state.time <= 1e-12 * scale and not dt > 1e-9 * scale:  # also where the step is NaN
                raise IntegrationError(state.time, "the step size vanished")
            state = State(
                time=float(stop) if time >= float(f.rhs.backend.asarray(stop)) else time,  # which rounds, in float32
                theta=theta[-1],
                step=dt,
                accepted=state.accepted + accepted,
                rejected=state.rejected + steps - accepted,
                evaluations=state.evaluations + to_start + steps * per_step + evaluations_of(solution.solver_state),
                knots=tuple(zip(passed[:inner].tolist(), between[:inner], strict=True)),
            )
            yield state
            if bool(solution.result == diffrax.RESULTS.nonlinear_divergence):  # with fixed steps
                raise IntegrationError(state.time, "an implicit stage could not be solved; try a smaller step_size")
            if state.accepted + state.rejected >= method.max_steps and state.time < stops[-1]:
                raise IntegrationError(state.time, f"max_steps={method.max_steps} was reached")


def _start(
    f: DiffraxRightHandSide, solver: Any, controller: Any, state: State, stop: float, fixed: float | None
) -> tuple[Any, Any, Any]:
    """The solver's and the controller's memory at the start of a stretch (which may be a resampling time)."""
    t0, t1 = jnp.asarray(state.time), jnp.asarray(stop)
    theta = f.rhs.backend.asarray(state.theta)
    solver_state = solver.init(f.term, t0, t1, theta, None)
    dt0 = fixed or state.step
    _, controller_state = controller.init(
        f.term, t0, t1, theta, None if dt0 is None else jnp.asarray(dt0), None, solver.func, solver.error_order(f.term)
    )
    return solver_state, controller_state, jnp.asarray(False)


def _chunk(f: DiffraxRightHandSide, solver: Any, controller: Any) -> Any:
    """At most `limit` steps of a solve, from the memory that `_start` gives: the end and every step on the way."""
    saves = [diffrax.SubSaveAt(t1=True), diffrax.SubSaveAt(steps=True)]
    saveat = diffrax.SaveAt(subs=saves, controller_state=True, solver_state=True)

    def advance(
        t0: float, t1: float, dt0: float, theta: Array, limit: int, solver_state: Any, controller_state: Any,
        made_jump: Any,
    ) -> diffrax.Solution:  # fmt: skip
        return diffrax.diffeqsolve(
            f.term, solver, t0, t1, dt0, theta,
            saveat=saveat, stepsize_controller=controller, max_steps=limit, throw=False,
            solver_state=solver_state, controller_state=controller_state, made_jump=made_jump,
        )  # fmt: skip

    compiled = eqx.filter_jit(advance)
    as_ = f.rhs.backend.asarray
    return lambda t0, t1, dt0, *rest: compiled(as_(t0), as_(t1), as_(dt0), *rest)
