"""diffrax: a gradient flow as an ODETerm, and the runs that `wgfode.solve` makes with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import load
from ..bound import Bound
from ..errors import InputError, IntegrationError, MissingDependencyError
from ..flow import GradientFlow
from ..rhs import RightHandSide
from ..stepping.methods import IMPLICIT, Method
from ..stepping.state import State

try:
    import diffrax
    import equinox as eqx
    import jax
    import jax.numpy as jnp
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        f"wgfode.adapters.diffrax needs {error.name}: pip install 'wgfode[jax]' brings it"
    ) from error

from .implicit_diffrax import FlowESDIRK, MetricNorm, controller_for, evaluations_of, implicit, solver_for

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["DiffraxRightHandSide", "FlowESDIRK", "MetricNorm", "implicit", "integrate", "right_hand_side"]

Array = Any


class DiffraxRightHandSide(Bound):
    """`f(t, theta, args)` → dθ/dt, (m,) → (m,); `f.term` is its `diffrax.ODETerm`.

    Pure and traceable: it can be jitted, vmapped over initial parameters, and differentiated (the
    linear solve by the implicit function theorem). With resampling, hand `f.jump_times(t0, t1)` to
    `diffrax.ClipStepSizeController(…, jump_ts=…)`.
    """

    def __init__(self, rhs: RightHandSide):
        self.bind(rhs)
        self.term = diffrax.ODETerm(self)

    def __call__(self, t: Any, theta: Array, args: Any = None) -> Array:
        return self._evaluate(theta, *self._points_at(t)).velocity

    def _points_at(self, t: Any) -> tuple[Array, Array]:
        points, rhs = self.rhs.flow.points, self.rhs
        if points.resample_every is None:
            return rhs.points_of(0)
        # The points of a segment come from the host. They are data: nothing is differentiated; and bits, since
        # the callback's thread does not know of a local x64 context, and would round float64 to float32.
        t = jax.lax.stop_gradient(jnp.asarray(t, float))
        shapes = jax.eval_shape(lambda: rhs.points_of(0))
        words = () if rhs.backend.dtype == "float32" else (2,)

        def draw(bits: Any) -> tuple[np.ndarray, ...]:
            time = np.asarray(bits).reshape(-1).view(t.dtype)[0]
            parts = (part.astype(rhs.backend.dtype) for part in rhs.drawn(points.segment(time)))
            return tuple(np.ascontiguousarray(part).view(np.uint32).reshape(part.shape + words) for part in parts)

        wires = [jax.ShapeDtypeStruct(shape.shape + words, np.uint32) for shape in shapes]
        bits = jax.pure_callback(draw, wires, jax.lax.bitcast_convert_type(t, jnp.uint32), vmap_method="sequential")
        z, weights = (jax.lax.bitcast_convert_type(part, rhs.backend.dtype) for part in bits)
        return z, weights

    def to_dataset(self, solution: diffrax.Solution, evaluation: int = 4096, **attributes: Any) -> xr.Dataset:
        """The dataset of a `diffrax.Solution` that was saved at times or steps (padding is dropped)."""
        times = np.asarray(solution.ts)
        thetas = np.asarray(solution.ys)
        kept = np.isfinite(times)
        stats = {name: int(np.asarray(value)) for name, value in solution.stats.items() if value is not None}
        reasons: Any = diffrax.RESULTS
        reason = reasons[solution.result]
        known: dict[str, Any] = {
            "integrator": "diffrax",
            "accepted_steps": stats.get("num_accepted_steps"),
            "rejected_steps": stats.get("num_rejected_steps"),
            "status": "completed" if bool(solution.result == diffrax.RESULTS.successful) else f"stopped: {reason}",
        }
        return self.dataset(times[kept], list(thetas[kept]), evaluation, **(known | attributes))


def right_hand_side(
    flow: GradientFlow, *, dtype: str = "float64", device: Any = None, tolerance: float = 1e-8
) -> DiffraxRightHandSide:
    """`flow` as a diffrax right-hand side.

    `tolerance` is the relative residual of iterative linear solvers whose `rtol` is None; keep it
    well below the integrator's `rtol`. Raises `InputError` where dtype is float64 and jax's x64 mode is off.
    """
    return DiffraxRightHandSide(RightHandSide(flow, load("jax", dtype, device), tolerance))


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
