"""`odeint` for a gradient flow: torchdiffeq's own methods guarded, and the implicit ones that it lacks."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torchdiffeq

from ...errors import InputError, IntegrationError, choice
from ...stepping.adaptive import integrate as in_implicit_steps
from ...stepping.methods import IMPLICIT, Method
from ...stepping.state import State
from .tsit5 import Tsit5Solver

if TYPE_CHECKING:
    from .rhs import TorchRightHandSide

Tensor = torch.Tensor

OWN = ("dopri5", "dopri8", "bosh3", "fehlberg2", "adaptive_heun", "euler", "midpoint", "heun2", "heun3", "rk4",
       "explicit_adams", "implicit_adams", "fixed_adams", "scipy_solver")  # fmt: skip


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
    """`torchdiffeq.odeint`, θ (m,) at increasing times (T,) → (T, m), with two differences.

    - `method` may also be ImplicitEuler, Kvaerno3/4/5, KenCarp3/4/5 or Tsit5. Options of the implicit ones:
      `first_step`, `max_num_steps`, `step_size` (fixed steps), `error_norm` ("parameters" or "metric").
    - Failures are `IntegrationError`, with the time; torchdiffeq's are assertions, and its `scipy_solver` returns the
      rows it has without a word.

    Raises `InputError` for an unknown method (with the nearest names) or unknown options.
    """
    name = choice("method", method, (*IMPLICIT, "Tsit5", *OWN))
    times = [float(time) for time in t]
    if name in IMPLICIT:
        return _implicit(f, theta0, times, name, rtol, atol, dict(options or {}))
    try:
        if name == "Tsit5":
            norm = lambda x: x.abs().pow(2).mean().sqrt()  # noqa: E731
            rows = Tsit5Solver(f, theta0, rtol, atol, norm=norm, **(options or {})).integrate(t)
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
        raise IntegrationError(reached, f"torchdiffeq's {name} returned {kept} of {len(times)} rows that are finite")
    return rows


def _implicit(
    f: TorchRightHandSide, theta0: Tensor, times: list[float], name: str, rtol: float, atol: float, options: dict
) -> Tensor:
    how = Method(name, rtol, atol, options.pop("step_size", None), options.pop("max_num_steps", 100_000),
                 options.pop("error_norm", "parameters"))  # fmt: skip
    state = State(times[0], theta0.detach().cpu().numpy(), options.pop("first_step", None))
    if options:
        raise InputError(f"unknown options for {name!r}: {', '.join(sorted(options))}")
    if not (np.diff(times) > 0).all():
        raise InputError("t must be increasing for an implicit method: a gradient flow backwards in time is ill-posed")
    stops = np.union1d(times[1:], f.jump_times(times[0], times[-1]))
    found, last = {times[0]: state.theta}, state
    for last in in_implicit_steps(f.rhs, state, stops, how):
        found[last.time] = last.theta
    f.evaluations += last.evaluations
    return torch.as_tensor(np.stack([found[time] for time in times])).to(theta0)
