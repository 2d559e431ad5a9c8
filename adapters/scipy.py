"""scipy: a gradient flow for solve_ivp's stiff methods, with its exact Jacobian and with failures that are raised.

Finite differences of a right-hand side that holds an iterative solve are useless as a Jacobian, and cost m
evaluations; here it comes from the implicit function theorem (`wgfode.derivative`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.integrate

from ..backend import load
from ..derivative import Linearization
from ..errors import InputError, IntegrationError, Reason, choice
from ..flow import GradientFlow
from ..rhs import RightHandSide
from ..stepping.integrator import Failure
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
        self._jacobian = rhs.backend.compile(lambda theta, drive: Linearization(rhs, theta, drive).jacobian())

    def __call__(self, t: float, theta: np.ndarray) -> np.ndarray:
        self.evaluations += 1
        backend = self.rhs.backend
        velocity = self.at(t, backend.asarray(self.checked(theta))).velocity
        return np.asarray(backend.to_numpy(velocity), dtype=float)

    def jacobian(self, t: float, theta: np.ndarray) -> np.ndarray:
        self.jacobians += 1
        rhs = self.rhs
        jacobian = self._jacobian(rhs.backend.asarray(self.checked(theta)), rhs.drive(t))
        return np.asarray(rhs.backend.to_numpy(jacobian), dtype=float)

    def to_dataset(self, solution: Any, evaluation: int = 4096, **attributes: Any) -> xr.Dataset:
        """The dataset of what `solve_ivp` returned."""
        known: dict[str, Any] = {"integrator": "scipy", "rhs_evaluations": self.evaluations, "status": "completed"}
        return self.dataset(solution.t, list(solution.y.T), evaluation, **(known | attributes))


def right_hand_side(
    flow: GradientFlow,
    *,
    args: Any = None,
    backend: str = "torch",
    dtype: str = "float64",
    device: Any = None,
    mesh: Any = None,
    tolerance: float = 1e-8,
) -> ScipyRightHandSide:
    """`flow` for scipy, computed with `backend` ("torch" or "jax").

    `args` are given to the functions of the flow that name them. `tolerance` is the relative residual of iterative
    linear solvers whose `rtol` is None. `mesh` splits the points over devices, as the framework's own adapter does.
    """
    framework = load(backend, dtype, device, mesh)
    f = ScipyRightHandSide(RightHandSide(flow, framework, tolerance, framework.constant(args)))
    f.rhs.arguments()  # missing ones show at once
    return f


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
        raise IntegrationError(reached, "the parameters are not finite", Reason.not_finite)
    return solution


class ScipySteps:
    """scipy's `method` as a `wgfode.stepping.integrator.Integrator`; its rejected steps are not known.

    Raises `InputError` for a method that is not scipy's, fixed steps or another error norm.
    """

    chunk = 64
    """A multistep method begins anew after each."""

    def __init__(self, f: ScipyRightHandSide, method: Method):
        if method.name not in SCIPY:
            raise InputError(f"method {method.name!r} is not available with scipy (known: {', '.join(SCIPY)})")
        if method.step_size is not None:
            raise InputError(f"method {method.name!r} is adaptive: give rtol and atol, no step_size")
        if method.error_norm != "parameters":
            raise InputError("scipy's error norm is fixed: error_norm='metric' needs diffrax or torchdiffeq")
        self.f, self.method = f, method
        self.kind = getattr(scipy.integrate, method.name)

    def advance(self, state: State, stop: float, limit: int) -> tuple[State, Failure | None]:
        f, method, failure = self.f, self.method, None
        before, knots = f.evaluations, [(state.time, state.theta)]
        first = None if state.step is None else min(state.step, stop - state.time)
        solver = self.kind(f, state.time, state.theta, stop, jac=f.jacobian,
                           rtol=method.rtol, atol=method.atol, first_step=first)  # fmt: skip
        while solver.status == "running" and len(knots) <= limit and failure is None:
            message = solver.step()
            if solver.status == "failed":
                failure = Failure(Reason.failed, f"scipy's {method.name} failed: {message}")
            elif not np.isfinite(solver.y).all():
                failure = Failure(Reason.not_finite, f"scipy's {method.name} failed: the parameters are not finite")
            else:
                knots.append((float(solver.t), np.array(solver.y)))
        time, theta = knots[-1]
        step = getattr(solver, "h_abs", solver.step_size)
        return State(
            time=time, theta=theta, step=float(step) if step else None,
            accepted=state.accepted + len(knots) - 1, rejected=state.rejected,
            evaluations=state.evaluations + f.evaluations - before, knots=tuple(knots[1:-1]),
        ), failure  # fmt: skip


integrator = ScipySteps
