"""The state of a run between steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class State:
    """A run between steps: enough to go on from.

    An integrator that yields a state goes on from nothing but what the state holds, so that a run taken
    up again from it makes the same steps.
    """

    time: float
    theta: np.ndarray
    step: float | None = None
    """The size of the next step, where the controller has one."""
    accepted: int = 0
    rejected: int = 0
    evaluations: int = 0
    """Right-hand sides evaluated."""
    knots: tuple[tuple[float, np.ndarray], ...] = ()
    """(t, θ) of the steps accepted between the state before and this one, both excluded."""
    memory: np.ndarray | None = None
    """What else the integrator carries from step to step, e.g. the velocity of the last stage."""

    def undone(self, count: int) -> State:
        """This state as it was after the first `count` of its steps, at least one; the others count as rejected."""
        taken = len(self.knots) + 1
        if count == taken:
            return self
        time, theta = self.knots[count - 1]
        return replace(
            self, time=time, theta=theta, knots=self.knots[: count - 1], memory=None,
            accepted=self.accepted - taken + count, rejected=self.rejected + taken - count,
        )  # fmt: skip
