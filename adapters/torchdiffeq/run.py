"""The runs that `wgfode.solve` makes with torchdiffeq."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torchdiffeq

from ...errors import InputError, IntegrationError
from ...stepping.adaptive import integrate as in_implicit_steps
from ...stepping.adaptive import scaled
from ...stepping.methods import IMPLICIT, Method
from ...stepping.state import State
from .rhs import TorchRightHandSide
from .tsit5 import Tsit5Solver

Tensor = torch.Tensor

FIXED = {"Euler": "euler", "Midpoint": "midpoint", "Heun": "heun2"}
ADAPTIVE = {"Bosh3": "bosh3", "Dopri5": "dopri5", "Dopri8": "dopri8", "Tsit5": None}


CHUNK = 16
"""Accepted steps between reports to the caller."""


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
        if len(self.knots) >= self.limit:
            raise _Pause

    def callback_accept_step(self, t0: Tensor, y0: Tensor, dt: Tensor) -> None:
        self.accepted += 1

    def callback_reject_step(self, t0: Tensor, y0: Tensor, dt: Tensor) -> None:
        self.rejected += 1


def integrate(f: TorchRightHandSide, state: State, stops: np.ndarray, method: Method) -> Iterator[State]:
    """Integrate from `state` through the times `stops`, yielding a state every few steps and at each stop.

    Raises `IntegrationError` where the steps vanish or `method.max_steps` is reached, after yielding
    the last good state.
    """
    backend = f.rhs.backend
    limit = CHUNK if method.step_size is None else CHUNK * CHUNK
    if method.name in IMPLICIT:
        yield from in_implicit_steps(f.rhs, state, stops, method, CHUNK)
        return
    for stop in stops:
        while state.time < stop:
            watched = _Watched(f, state, limit)
            before = f.evaluations
            budget = method.max_steps - state.accepted - state.rejected
            time, theta = float(stop), None
            try:
                theta = _advance(watched, backend.asarray(state.theta), state, time, method, budget)
            except _Pause:
                pass
            except AssertionError as error:  # torchdiffeq's own failures are assertions
                if watched.time > state.time:
                    yield _after(state, watched, watched.time, watched.theta, f.evaluations - before)
                text = str(error)
                reason = f"max_steps={method.max_steps} was reached" if "max_num_steps" in text else text
                reason = "the step size vanished" if "underflow" in text else reason
                raise IntegrationError(watched.time, reason) from error
            if theta is None:
                time, end = watched.time, watched.theta
            else:
                end = theta.detach().cpu().numpy()
            state = _after(state, watched, time, end, f.evaluations - before)
            yield state


def _after(state: State, watched: _Watched, time: float, theta: np.ndarray, evaluations: int) -> State:
    return State(
        time=time,
        theta=theta,
        step=watched.step,
        accepted=state.accepted + watched.accepted,
        rejected=state.rejected + watched.rejected,
        evaluations=state.evaluations + evaluations,
        knots=tuple(knot for knot in watched.knots if knot[0] < time),
    )


def _advance(watched: _Watched, theta: Tensor, state: State, stop: float, method: Method, budget: int) -> Tensor:
    """θ at `stop`. The step is made to end there, so that no interpolation enters."""
    backend = watched.f.rhs.backend
    times = torch.tensor([state.time, stop], dtype=torch.float64)
    if method.step_size is not None:
        if method.name not in FIXED:
            raise InputError(f"method {method.name!r} is adaptive with torchdiffeq: give rtol and atol, no step_size")
        if (stop - state.time) / method.step_size > budget:
            raise AssertionError("max_num_steps")
        watched.accepted = watched.limit  # of a chunk that pauses
        # torchdiffeq's own grid ends in a step of rounding size where the span is a multiple of the step
        grid = torch.linspace(state.time, stop, method.count(stop - state.time) + 1, dtype=torch.float64)
        with warnings.catch_warnings():  # of the callbacks that fixed steps have no use for
            warnings.filterwarnings("ignore", message=".*does not support callbacks")
            options: dict[str, Any] = {"grid_constructor": lambda *_: grid}
            theta = torchdiffeq.odeint(watched, theta, times, method=FIXED[method.name], options=options)[-1]
        watched.accepted = len(watched.knots) + 1
        return theta
    if method.name not in ADAPTIVE:
        raise InputError(f"method {method.name!r} has no error estimate with torchdiffeq: give step_size")
    options = {"step_t": torch.tensor([stop]), "max_num_steps": budget}
    if state.step is not None:
        options["first_step"] = state.step
    rtol, atol = method.rtol, method.atol
    norm: Callable[[Tensor], Tensor] = _rms
    if method.error_norm == "metric":
        measure = scaled(watched.f.rhs, "metric", rtol, atol)
        points = watched.f.rhs.points_of(watched.f.rhs.flow.points.segment(state.time))
        # torchdiffeq hands over error / (atol + rtol |θ|): with 0 and 1 that is the error itself
        rtol, atol = 0.0, 1.0
        norm = lambda error: measure(error, backend.asarray(watched.theta), *points)  # noqa: E731
    if method.name == "Tsit5":
        return Tsit5Solver(watched, theta, rtol, atol, norm=norm, **options).integrate(times)[-1]
    options["norm"] = norm
    return torchdiffeq.odeint(
        watched, theta, times, rtol=rtol, atol=atol, method=ADAPTIVE[method.name], options=options
    )[-1]


def _rms(x: Tensor) -> Tensor:
    return x.abs().pow(2).mean().sqrt()
