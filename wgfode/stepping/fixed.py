"""Equal steps of a one-step scheme, from the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..drive import Drive
from ..errors import IntegrationError
from ..rhs import RightHandSide
from .integrator import Failure
from .methods import Method
from .state import State

Array = Any


class Scheme(Protocol):
    """One step: (θ_k, h, t, drive, memory) ↦ (θ_{k+1}, gradient evaluations, memory of the next step).

    `drive` is that of the step's end, t + h, with the points of its beginning: schemes take ∇F at θ_{k+1}.
    Raises `IntegrationError` where the step fails.
    """

    def __call__(
        self, theta: np.ndarray, h: float, t: float, drive: Drive, memory: np.ndarray | None
    ) -> tuple[np.ndarray, int, np.ndarray | None]: ...


@dataclass
class EqualSteps:
    """An `Integrator`: equal steps of at most `method.step_size`, a state after each."""

    scheme: Scheme
    rhs: RightHandSide
    method: Method
    chunk: int = 1

    def advance(self, state: State, stop: float, limit: int) -> tuple[State, Failure | None]:
        span = stop - state.time
        count = self.method.count(span)
        h = span / count
        drive = self.rhs.drive(state.time + h, self.rhs.flow.segment(state.time))
        try:
            theta, evaluations, memory = self.scheme(state.theta, h, state.time, drive, state.memory)
        except IntegrationError as error:
            return state, Failure(error.reason, error.words)
        return State(
            time=stop if count == 1 else state.time + h, theta=theta, step=self.method.step_size,
            accepted=state.accepted + 1, rejected=state.rejected,
            evaluations=state.evaluations + evaluations, memory=memory,
        ), None  # fmt: skip
