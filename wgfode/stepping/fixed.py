"""Equal steps of a one-step scheme, from the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import IntegrationError
from ..rhs import RightHandSide
from .methods import Method
from .state import State

Array = Any
Advance = Callable[[np.ndarray, float, float, tuple[Array, Array]], tuple[np.ndarray, int]]
"""(θ_k, h, t, (z, weights)) ↦ (θ_{k+1}, gradient evaluations)."""


def integrate(advance: Advance, rhs: RightHandSide, state: State, stops: np.ndarray, method: Method) -> Iterator[State]:
    """Equal steps of at most `method.step_size` through the times `stops`, a state after each."""
    assert method.step_size is not None, "Method sees to it"
    for stop in stops:
        span = float(stop) - state.time
        count = method.count(span)
        begin, h = state.time, span / count
        points = rhs.points_of(rhs.flow.points.segment(begin))
        for index in range(count):
            if state.accepted >= method.max_steps:
                raise IntegrationError(state.time, f"max_steps={method.max_steps} was reached")
            theta, evaluations = advance(state.theta, h, state.time, points)
            time = float(stop) if index == count - 1 else begin + (index + 1) * h
            state = replace(
                state, time=time, theta=theta, step=method.step_size, accepted=state.accepted + 1,
                evaluations=state.evaluations + evaluations,
            )  # fmt: skip
            yield state
