"""The runs that `wgfode.solve` makes with torchdiffeq."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torchdiffeq

from ...errors import InputError
from ...stepping.adaptive import ImplicitSteps, scaled
from ...stepping.integrator import CHUNK, NOT_FINITE, VANISHED, Failure, Integrator
from ...stepping.methods import IMPLICIT, Method
from ...stepping.state import State
from .norm import guarded, rms
from .rhs import TorchRightHandSide
from .tsit5 import Tsit5Solver

Tensor = torch.Tensor

FIXED = {"Euler": "euler", "Midpoint": "midpoint", "Heun": "heun2"}
ADAPTIVE = {"Bosh3": "bosh3", "Dopri5": "dopri5", "Dopri8": "dopri8", "Tsit5": None}


class _Pause(Exception):
    """Raised between two steps, to report to the caller."""


class _Watched:
    """A right-hand side with torchdiffeq's step callbacks, remembering where the solve is.

    It pauses the solve before step `limit` + 1. The solve that goes on from there has no other memory, so that a
    run resumed there makes the same steps; that costs a right-hand side.
    """

    def __init__(self, f: TorchRightHandSide, state: State, limit: int):
        self.f, self.accepted, self.rejected, self.limit = f, 0, 0, limit
        self.time, self.theta, self.step = state.time, state.theta, state.step
        self.knots: list[tuple[float, np.ndarray]] = []

    def __call__(self, t: Tensor, theta: Tensor, **_: Any) -> Tensor:
        return self.f(t, theta)

    def callback_step(self, t0: Tensor, y0: Tensor, dt: Tensor) -> None:
        ahead = float(t0) > self.time
        self.time, self.theta, self.step = float(t0), y0.detach().cpu().numpy().copy(), float(dt)
        if ahead:
            self.knots.append((self.time, self.theta))
        if self.accepted + self.rejected >= self.limit:
            raise _Pause

    def callback_accept_step(self, t0: Tensor, y0: Tensor, dt: Tensor) -> None:
        self.accepted += 1

    def callback_reject_step(self, t0: Tensor, y0: Tensor, dt: Tensor) -> None:
        self.rejected += 1


def integrator(f: TorchRightHandSide, method: Method) -> Integrator:
    """torchdiffeq's `method`, or ours where it has none, as an `Integrator`.

    Raises `InputError` for a method that is not there, fixed steps of an adaptive method, or none of another.
    """
    if method.name in IMPLICIT:
        return ImplicitSteps(f.rhs, method)
    if method.step_size is not None:
        return FixedSteps(f, method)
    return AdaptiveSteps(f, method)


class FixedSteps:
    """Equal steps of at most `method.step_size`."""

    chunk = CHUNK * CHUNK

    def __init__(self, f: TorchRightHandSide, method: Method):
        if method.name not in FIXED:
            raise InputError(f"method {method.name!r} is adaptive with torchdiffeq: give rtol and atol, no step_size")
        self.f, self.method = f, method

    def advance(self, state: State, stop: float, limit: int) -> tuple[State, Failure | None]:
        before, span = self.f.evaluations, stop - state.time
        count = self.method.count(span)
        # torchdiffeq's own grid ends in a step of rounding size where the span is a multiple of the step
        grid = torch.linspace(state.time, stop, count + 1, dtype=torch.float64)[: limit + 1]
        theta = self.f.rhs.backend.asarray(state.theta)
        rows = torchdiffeq.odeint(
            self.f, theta, grid, method=FIXED[self.method.name], options={"grid_constructor": lambda *_: grid}
        )
        taken = len(grid) - 1
        path = list(zip(grid.tolist(), rows.detach().cpu().numpy(), strict=True))[1:]
        time, end = path[-1]
        return State(
            time=stop if taken == count else time, theta=end, step=self.method.step_size,
            accepted=state.accepted + taken, rejected=state.rejected,
            evaluations=state.evaluations + self.f.evaluations - before, knots=tuple(path[:-1]),
        ), None  # fmt: skip


class AdaptiveSteps:
    """Steps with an error estimate."""

    chunk = CHUNK

    def __init__(self, f: TorchRightHandSide, method: Method):
        if method.name not in ADAPTIVE:
            raise InputError(f"method {method.name!r} has no error estimate with torchdiffeq: give step_size")
        self.f, self.method = f, method

    def advance(self, state: State, stop: float, limit: int) -> tuple[State, Failure | None]:
        watched, before, failure = _Watched(self.f, state, limit), self.f.evaluations, None
        try:
            end = self._solve(watched, state, stop).detach().cpu().numpy()
            watched.time, watched.theta = stop, end
        except _Pause:
            pass
        except AssertionError as error:  # torchdiffeq's own failures are assertions
            known = {"underflow in dt": VANISHED, "non-finite values": NOT_FINITE}
            failure = next((why for words, why in known.items() if words in str(error)), None)
            if failure is None:
                raise
        return State(
            time=watched.time, theta=watched.theta, step=watched.step,
            accepted=state.accepted + watched.accepted, rejected=state.rejected + watched.rejected,
            evaluations=state.evaluations + self.f.evaluations - before,
            knots=tuple(knot for knot in watched.knots if knot[0] < watched.time),
        ), failure  # fmt: skip

    def _solve(self, watched: _Watched, state: State, stop: float) -> Tensor:
        """θ at `stop`, where a step ends."""
        backend = self.f.rhs.backend
        theta, times = backend.asarray(state.theta), torch.tensor([state.time, stop], dtype=torch.float64)
        rtol, atol, norm = self.method.rtol, self.method.atol, guarded(rms)
        if self.method.error_norm == "metric":
            measure = scaled(self.f.rhs, "metric", rtol, atol)
            drive = self.f.rhs.drive(state.time)
            # torchdiffeq hands over error / (atol + rtol |θ|): with 0 and 1 that is the error itself
            rtol, atol = 0.0, 1.0
            norm = guarded(lambda error: measure(error, backend.asarray(watched.theta), drive))
        options: dict[str, Any] = {"step_t": torch.tensor([stop], dtype=torch.float64), "norm": norm}
        if state.step is not None:
            options["first_step"] = state.step
        if self.method.name == "Tsit5":
            return Tsit5Solver(watched, theta, rtol, atol, **options).integrate(times)[-1]
        return torchdiffeq.odeint(
            watched, theta, times, rtol=rtol, atol=atol, method=ADAPTIVE[self.method.name], options=options
        )[-1]
