"""θ at output times, which lie inside steps: a run's steps end where they suit the flow, not where it is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import IntegrationError
from ..flow import Segment
from ..monitor.interpolant import KEEP, SHAPE, Interpolant, nearest
from ..stepping.adaptive import scaled
from ..stepping.integrator import BoundFlow, Integrator, states
from ..stepping.methods import Method
from ..stepping.state import State

Array = Any
Knot = tuple[float, np.ndarray]


class Outputs:
    """θ between the ends of steps, by Hermite interpolation with θ̇ of the right-hand side itself at the ends.

    Four knots give an interpolant of degree 7, beyond the order of the methods. What it differs by from the one of
    three knots must be within a step's tolerance; where it is not, or where there are no three knots (a step
    between two resampling times), θ comes from a step of its own that ends at the output time, and that the run
    knows nothing of. `evaluations` counts the right-hand sides of both.
    """

    def __init__(self, f: BoundFlow, integrator: Integrator, method: Method):
        self.f, self.integrator, self.method, self.evaluations = f, integrator, method, 0
        self.knots: list[Knot] = []
        self._measure = f.rhs.backend.compile(scaled(f.rhs, method.error_norm, method.rtol, method.atol))

    def begin(self, knots: list[Knot]) -> None:
        """Start from the last of some (t, θ); the ones before only shape the path."""
        self.knots = list(knots)

    def follow(self, state: State, times: Sequence[float]) -> list[Knot]:
        """(t, θ) at times between the last state and this one, of which it takes note."""
        ahead = self.knots[-1][0]
        knots = self.knots + [knot for knot in (*state.knots, (state.time, state.theta)) if knot[0] > ahead]
        rates: dict[int, np.ndarray] = {}
        found = [(t, self._at(t, knots, rates)) for t in times]
        self.knots = knots[-KEEP:]
        return found

    def _at(self, t: float, knots: list[Knot], rates: dict[int, np.ndarray]) -> np.ndarray:
        times = np.array([time for time, _ in knots])
        if t >= times[-1]:  # the same time but for rounding
            return knots[-1][1]
        i = max(int(np.searchsorted(times, t, side="right")) - 1, 0)
        segment = self.f.rhs.flow.segment
        # the path has a kink where the points change
        first = next(k for k in range(i + 1) if segment(times[k]) == segment(times[i]))
        last = next((k for k in range(i + 1, len(times)) if segment(times[k]) != segment(times[i])), len(times) - 1)

        def path(shape: int) -> np.ndarray:
            near = [first + k for k in nearest(times[first : last + 1], i - first, shape)]
            for k in near:
                if k not in rates:
                    rates[k] = self._rate(*knots[k], segment(times[i]))
            thetas = np.array([knots[k][1] for k in near], float)
            return Interpolant(times[near], thetas, np.array([rates[k] for k in near]))(t)[0].astype(knots[i][1].dtype)

        theta, near = path(SHAPE), nearest(times[first : last + 1], i - first)
        if len(near) > 2 and self._size(theta - path(len(near) - 1), theta, times[i]) <= 1:
            return theta
        try:
            return self._stepped(t, knots[i], knots[i + 1][0] - times[i])
        except IntegrationError:  # where the run itself has passed
            return theta

    def _rate(self, t: float, theta: np.ndarray, segment: Segment) -> np.ndarray:
        """θ̇ at (t, θ), with the points of `segment`."""
        self.evaluations += 1
        backend = self.f.rhs.backend
        return np.asarray(backend.to_numpy(self.f.at(t, backend.asarray(theta), segment).velocity), float)

    def _size(self, delta: np.ndarray, theta: np.ndarray, t: float) -> float:
        """The size of a displacement in units of the tolerance; NaN where it is not finite."""
        rhs = self.f.rhs
        return float(self._measure(rhs.backend.asarray(delta), rhs.backend.asarray(theta), rhs.drive(t)))

    def _stepped(self, t: float, knot: Knot, step: float) -> np.ndarray:
        """θ at t by steps of the method from a knot."""
        *_, last = states(self.integrator, State(*knot, step=step), np.array([t]), self.method.max_steps)
        self.evaluations += last.evaluations
        return last.theta
