"""scipy: a gradient flow for solve_ivp's stiff methods, with its exact Jacobian and with failures that are raised.

Finite differences of a right-hand side that holds an iterative solve are useless as a Jacobian, and cost m
evaluations; here it comes from the implicit function theorem (`wgfode.derivative`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.integrate

from ..backend import load
from ..derivative import Linearization
from ..errors import InputError, IntegrationError, choice
from ..flow import GradientFlow
from ..rhs import RightHandSide
from ..stepping.methods import SCIPY, Method
from ..stepping.state import State
from .base import AdaptedRightHandSide

if TYPE_CHECKING:
    import xarray as xr


class ScipyRightHandSide(AdaptedRightHandSide):
    """`f(t, theta)` → dθ/dt and `f.jacobian(t, theta)`, numpy arrays (m,) → (m,) and (m, m), on either framework.

    `evaluations` and `jacobians` count calls.
    """

    def __init__(self, rhs: RightHandSide):
        self.bind(rhs)
        self.evaluations = self.jacobians = 0
        self._jacobian = rhs.backend.compile(lambda theta, z, w: Linearization(rhs, theta, z, w).jacobian())

    def _points(self, t: float) -> tuple[Any, Any]:
        return self.rhs.points_of(self.rhs.flow.points.segment(t))

    def __call__(self, t: float, theta: np.ndarray) -> np.ndarray:
        self.evaluations += 1
        backend = self.rhs.backend
        velocity = self._evaluate(backend.asarray(theta), *self._points(t)).velocity
        return np.asarray(backend.to_numpy(velocity), dtype=float)

    def jacobian(self, t: float, theta: np.ndarray) -> np.ndarray:
        self.jacobians += 1
        backend = self.rhs.backend
        return np.asarray(backend.to_numpy(self._jacobian(backend.asarray(theta), *self._points(t))), dtype=float)

    def to_dataset(self, solution: Any, evaluation: int = 4096, **attributes: Any) -> xr.Dataset:
        """The dataset of what `solve_ivp` returned."""
        known: dict[str, Any] = {"integrator": "scipy", "rhs_evaluations": self.evaluations, "status": "completed"}
        return self.dataset(solution.t, list(solution.y.T), evaluation, **(known | attributes))


def right_hand_side(
    flow: GradientFlow, *, backend: str = "torch", dtype: str = "float64", device: Any = None, tolerance: float = 1e-8
) -> ScipyRightHandSide:
    """`flow` for scipy, computed with `backend` ("torch" or "jax").

    `tolerance` is the relative residual of iterative linear solvers whose `rtol` is None.
    """
    return ScipyRightHandSide(RightHandSide(flow, load(backend, dtype, device), tolerance))


def solve_ivp(
    f: ScipyRightHandSide,
    t_span: tuple[float, float],
    theta0: Any = None,
    *,
    method: str = "Radau",
    rtol: float = 1e-6,
    atol: float = 1e-8,
    **options: Any,
) -> Any:
    """`scipy.integrate.solve_ivp` from `theta0` (default: the identity map), with the exact Jacobian.

    `method` is Radau, BDF or LSODA; `options` go to scipy. Raises `IntegrationError`, with the time it came to,
    where scipy fails or what it returns is not finite, and `InputError` for an unknown method.
    """
    method = choice("method", method, SCIPY)
    start = f.rhs.backend.to_numpy(f.initial()) if theta0 is None else np.asarray(theta0, dtype=float)
    solution = scipy.integrate.solve_ivp(
        f, t_span, start, method=method, rtol=rtol, atol=atol, jac=f.jacobian, **options
    )
    good = np.isfinite(solution.y).all(axis=0) if np.size(solution.y) else np.zeros(0, bool)
    reached = float(solution.t[good][-1]) if good.any() else float(t_span[0])
    if not solution.success:
        raise IntegrationError(reached, f"scipy's {method} failed: {solution.message}")
    if not good.all():
        raise IntegrationError(reached, "the parameters are not finite")
    return solution


CHUNK = 64
"""Steps between reports. A multistep method starts anew after each, so that a run can be resumed there."""


def integrate(f: ScipyRightHandSide, state: State, stops: np.ndarray, method: Method) -> Iterator[State]:
    """Integrate from `state` through the times `stops`, yielding a state every few steps and at each stop.

    Raises `IntegrationError` where scipy fails or `method.max_steps` is reached, after yielding the last good state.
    """
    if method.name not in SCIPY:
        raise InputError(f"method {method.name!r} is not available with scipy (known: {', '.join(SCIPY)})")
    if method.step_size is not None:
        raise InputError(f"method {method.name!r} is adaptive: give rtol and atol, no step_size")
    if method.error_norm != "parameters":
        raise InputError("scipy's error norm is fixed: error_norm='metric' needs diffrax or torchdiffeq")
    kind = getattr(scipy.integrate, method.name)
    for stop in map(float, stops):
        while state.time < stop:
            before, reason = f.evaluations, ""
            knots: list[Any] = []
            first = None if state.step is None else min(state.step, stop - state.time)
            solver = kind(f, state.time, state.theta, stop, jac=f.jacobian,
                          rtol=method.rtol, atol=method.atol, first_step=first)  # fmt: skip
            while solver.status == "running" and len(knots) < CHUNK and not reason:
                message = solver.step()
                if solver.status == "failed" or not np.isfinite(solver.y).all():
                    reason = f"scipy's {method.name} failed: {message or 'the parameters are not finite'}"
                    break
                knots.append((float(solver.t), np.array(solver.y)))
                if state.accepted + len(knots) >= method.max_steps and solver.t < stops[-1]:
                    reason = f"max_steps={method.max_steps} was reached"
            if knots:
                time, theta = knots[-1]
                step = getattr(solver, "h_abs", solver.step_size)
                state = State(
                    time=time, theta=theta, step=float(step) if step else None,
                    accepted=state.accepted + len(knots), rejected=state.rejected,
                    evaluations=state.evaluations + f.evaluations - before, knots=tuple(knots[:-1]),
                )  # fmt: skip
                yield state
            if reason:
                raise IntegrationError(state.time, reason)
