"""`odeint` for a gradient flow: torchdiffeq's own methods guarded, and the implicit ones that it lacks."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torchdiffeq

from ...backend.torch import differentiated
from ...errors import InputError, IntegrationError, Reason, choice
from ...stepping.adaptive import ImplicitSteps
from ...stepping.integrator import states
from ...stepping.methods import IMPLICIT, Method
from ...stepping.state import State
from .norm import guarded, rms
from .tsit5 import Tsit5Solver

if TYPE_CHECKING:
    from .rhs import TorchRightHandSide

Tensor = torch.Tensor

ADAPTIVE = ("dopri5", "dopri8", "bosh3", "fehlberg2", "adaptive_heun")
OTHERS = ("euler", "midpoint", "heun2", "heun3", "rk4", "explicit_adams", "implicit_adams", "fixed_adams",
          "scipy_solver")  # fmt: skip


def odeint(
    f: TorchRightHandSide,
    theta0: Tensor,
    t: Tensor,
    *,
    method: str = "Kvaerno5",
    rtol: float = 1e-6,
    atol: float = 1e-8,
    options: dict[str, Any] | None = None,
) -> Tensor:
    """`torchdiffeq.odeint`, θ (m,) at increasing times (T,) → (T, m), with three differences.

    - `method` may also be ImplicitEuler, Kvaerno3/4/5, KenCarp3/4/5 or Tsit5. Options of the implicit ones:
      `first_step`, `max_num_steps`, `step_size` (fixed steps), `error_norm` ("parameters" or "metric").
    - A step whose error is not finite is tried again with a smaller size; torchdiffeq gives up.
    - Failures are `IntegrationError`, with the time; torchdiffeq's are assertions, and its `scipy_solver` returns the
      rows it has without a word.

    Raises `InputError` for an unknown method (with the nearest names) or unknown options.
    """
    name = choice("method", method, (*IMPLICIT, "Tsit5", *ADAPTIVE, *OTHERS))
    times = [float(time) for time in t]
    if name in IMPLICIT:
        return _implicit(f, theta0, times, name, rtol, atol, dict(options or {}))
    if name in ("Tsit5", *ADAPTIVE):
        options = dict(options or {})
        options["norm"] = guarded(options.get("norm", rms))
    try:
        if name == "Tsit5":
            rows = Tsit5Solver(_WithCallbacks(f), theta0, rtol, atol, **(options or {})).integrate(t)
        else:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*min_step")  # scipy's methods have none
                rows = torchdiffeq.odeint(f, theta0, t, rtol=rtol, atol=atol, method=name, options=options)
    except (AssertionError, IndexError, ValueError) as error:
        # scipy_solver raises the last two where it has nothing, or too few numbers, to return
        raise IntegrationError(times[0], f"torchdiffeq's {name} failed: {error or type(error).__name__}") from error
    good = torch.isfinite(rows).all(dim=1)
    if len(rows) != len(times) or not bool(good.all()):
        kept = int(good.long().cumprod(0).sum())
        reached = times[max(kept - 1, 0)]
        raise IntegrationError(reached, f"torchdiffeq's {name} returned {kept} of {len(times)} rows that are finite",
                               Reason.not_finite)  # fmt: skip
    return rows


class _WithCallbacks:
    """`f` as torchdiffeq's solvers call it: with `perturb`, and with callbacks that may be missing."""

    def __init__(self, f: TorchRightHandSide):
        self.f = f
        for name in ("callback_step", "callback_accept_step", "callback_reject_step"):
            setattr(self, name, getattr(f, name, lambda *_: None))

    def __call__(self, t: Tensor, theta: Tensor, **_: Any) -> Tensor:
        return self.f(t, theta)


def _implicit(
    f: TorchRightHandSide, theta0: Tensor, times: list[float], name: str, rtol: float, atol: float, options: dict
) -> Tensor:
    how = Method(name, rtol, atol, options.pop("step_size", None), options.pop("max_num_steps", 100_000),
                 options.pop("error_norm", "parameters"))  # fmt: skip
    if differentiated((theta0, f.rhs.args)):
        raise InputError(
            f"method {name!r} has no derivative with torch, and theta0 or args require grad: call it under "
            "torch.no_grad(), or take an explicit method (Tsit5, dopri5), torchdiffeq.odeint_adjoint, or diffrax"
        )
    state = State(times[0], theta0.detach().cpu().numpy(), options.pop("first_step", None))
    if options:
        raise InputError(f"unknown options for {name!r}: {', '.join(sorted(options))}")
    if not (np.diff(times) > 0).all():
        raise InputError("t must be increasing for an implicit method: a gradient flow backwards in time is ill-posed")
    stops = np.union1d(times[1:], f.jump_times(times[0], times[-1]))
    found, last = {times[0]: state.theta}, state
    for last in states(ImplicitSteps(f.rhs, how), state, stops, how.max_steps, f):
        found[last.time] = last.theta
    f.evaluations += last.evaluations
    return torch.as_tensor(np.stack([found[time] for time in times])).to(theta0)
