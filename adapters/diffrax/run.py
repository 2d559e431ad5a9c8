"""The runs that `wgfode.solve` makes with diffrax."""

from __future__ import annotations

from typing import Any

import diffrax
import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ...drive import Drive
from ...errors import InputError
from ...stepping.integrator import CHUNK, UNSOLVED, VANISHED, Failure
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

SELECTION = 2
"""Right-hand sides with which diffrax finds a first step."""


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


class DiffraxSteps:
    """A diffrax solver as a `wgfode.stepping.integrator.Integrator`.

    Raises `InputError` for a method that diffrax lacks, or one without an error estimate and without `step_size`.
    """

    def __init__(self, f: DiffraxRightHandSide, method: Method):
        self.f, self.method = f, method
        self.solver: Any
        if method.name in IMPLICIT:
            self.solver, self.per_step, self.to_start = solver_for(f, method), 0, 1
        elif method.name in SOLVERS:
            kind, self.per_step, self.to_start = SOLVERS[method.name]
            self.solver = kind()
        else:
            known = ", ".join((*SOLVERS, *IMPLICIT))
            raise InputError(f"method {method.name!r} is not available with diffrax (known: {known})")
        if method.step_size is not None:
            self.controller: Any = diffrax.ConstantStepSize()
        elif isinstance(self.solver, diffrax.AbstractAdaptiveSolver):
            self.controller = Remember.around(controller_for(f, method))
        else:
            raise InputError(f"method {method.name!r} has no error estimate: give step_size")
        self._order = self.solver.error_order(f.term) if self.method.step_size is None else 1
        self.chunk = CHUNK if method.step_size is None else CHUNK * CHUNK
        self._solve = _chunk(f, self.solver, self.controller)

    def advance(self, state: State, stop: float, limit: int) -> tuple[State, Failure | None]:
        as_, span = self.f.rhs.backend.asarray, stop - state.time
        fixed = None if self.method.step_size is None else span / self.method.count(span)
        drive = self.f.rhs.drive(state.time)
        memory = self._start(state, stop, fixed, drive)
        dt = fixed or float(memory[1][1])
        solution = self._solve(as_(state.time), as_(stop), as_(dt), as_(state.theta), limit, drive, *memory)
        steps = int(solution.stats["num_steps"])
        accepted = int(solution.stats["num_accepted_steps"])
        dt = fixed or float(solution.controller_state[1])
        end, passed = map(np.asarray, solution.ts)
        theta, between = map(np.asarray, solution.ys)
        time, inner = float(end[-1]), max(accepted - 1, 0)
        selection = SELECTION if fixed is None and state.step is None else 0
        evaluations = self.to_start + selection + steps * self.per_step + evaluations_of(solution.solver_state)
        new = State(
            time=(stop if time >= float(as_(stop)) else time) if accepted else state.time,  # float32 rounds the stop
            theta=theta[-1] if accepted else state.theta,
            step=dt if dt > 0 else state.step,  # it may be NaN
            accepted=state.accepted + accepted,
            rejected=state.rejected + steps - accepted,
            evaluations=state.evaluations + evaluations,
            knots=tuple(zip(passed[:inner].tolist(), between[:inner], strict=True)),
        )
        if bool(solution.result == diffrax.RESULTS.nonlinear_divergence):  # with fixed steps
            return new, UNSOLVED
        scale = max(1.0, abs(time))
        if new.time - state.time <= 1e-12 * scale and not dt > 1e-9 * scale:
            return new, VANISHED
        return new, None

    def _start(self, state: State, stop: float, fixed: float | None, drive: Drive) -> tuple[Any, Any, Any]:
        """The solver's and the controller's memory at the start of a stretch (which may be a resampling time)."""
        f, solver, as_ = self.f, self.solver, self.f.rhs.backend.asarray
        t0, t1, theta = as_(state.time), as_(stop), as_(state.theta)
        solver_state = solver.init(f.term, t0, t1, theta, drive)
        dt0 = fixed or state.step or self._first(state.time, np.asarray(state.theta))
        _, controller_state = self.controller.init(
            f.term, t0, t1, theta, as_(dt0), drive, solver.func, solver.error_order(f.term)
        )
        return solver_state, controller_state, jnp.asarray(False)

    def _first(self, t: float, theta: np.ndarray) -> float:
        """The first step that diffrax would take (E. Hairer, S. P. Nørsett & G. Wanner, *Solving Ordinary Differential
        Equations I*, §II.4), on the host: its dozens of small operations would be compiled one by one."""
        scale = self.method.atol + self.method.rtol * np.abs(theta)

        def size(vector: np.ndarray) -> float:
            return float(np.sqrt(np.mean((vector / scale) ** 2)))

        def rate(time: float, theta: np.ndarray) -> np.ndarray:
            return np.asarray(self.f.at(time, self.f.rhs.backend.asarray(theta)).velocity)

        k = rate(t, theta)
        reach, speed = size(theta), size(k)
        trial = 1e-6 if reach < 1e-5 or speed < 1e-5 else 0.01 * reach / speed
        change = size(rate(t + trial, theta + trial * k) - k) / trial
        largest = np.maximum(speed, change)  # not max: NaN is to be seen
        step = max(1e-6, 1e-3 * trial) if largest <= 1e-15 else (0.01 / largest) ** (1 / self._order)
        return float(np.minimum(100 * trial, step))


integrator = DiffraxSteps


def _chunk(f: DiffraxRightHandSide, solver: Any, controller: Any) -> Any:
    """At most `limit` steps of a solve, from the memory that `_start` gives: the end and every step on the way."""
    saves = [diffrax.SubSaveAt(t1=True), diffrax.SubSaveAt(steps=True)]
    saveat = diffrax.SaveAt(subs=saves, controller_state=True, solver_state=True)

    @eqx.filter_jit
    def advance(
        t0: Array, t1: Array, dt0: Array, theta: Array, limit: int, drive: Drive, solver_state: Any,
        controller_state: Any, made_jump: Any,
    ) -> diffrax.Solution:  # fmt: skip
        return diffrax.diffeqsolve(
            f.term, solver, t0, t1, dt0, theta, drive,
            saveat=saveat, stepsize_controller=controller, max_steps=limit, throw=False,
            solver_state=solver_state, controller_state=controller_state, made_jump=made_jump,
        )  # fmt: skip

    return advance
