"""What a run asks of whoever steps in time, and the one loop that follows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..drive import Drive
from ..errors import IntegrationError, Reason
from ..flow import Segment, before
from ..rhs import Evaluation, RightHandSide
from .state import State

Array = Any

CHUNK = 16
"""Steps between reports, where nothing else is better."""


class BoundFlow(Protocol):
    """A flow bound to a framework, its functions compiled: what a run asks of an adapter's right-hand side."""

    rhs: RightHandSide

    def initial(self) -> Array:
        """The starting parameters, (m,)."""

    def at(self, t: float, theta: Array, segment: Segment | None = None) -> Evaluation:
        """The right-hand side at θ (m,) and time t, by default with the points of the segment that holds t."""

    def diagnose(self, theta: Array, drive: Drive, held_out: Drive) -> dict[str, Array]:
        """`RightHandSide.diagnose`."""

    def moved(self, theta: Array, z: Array, direction: Array) -> Array:
        """J(θ) direction at the points z (N, d), (N, d)."""

    def diagnostics(self, t: float, theta: Array, evaluation: int = 4096, seed: int = 0) -> dict[str, np.ndarray]:
        """Everything the dataset holds of one time, from `evaluation` held-out points."""


class Failure(NamedTuple):
    """Why an integrator cannot go on."""

    reason: Reason
    words: str


VANISHED = Failure(Reason.step_vanished, "the step size vanished")
UNSOLVED = Failure(Reason.stage_unsolved, "an implicit stage could not be solved; try a smaller step_size")
NOT_FINITE = Failure(Reason.not_finite, "the parameters are not finite")


class Integrator(Protocol):
    """A method bound to a flow, a function of the state alone: a run resumed from any state makes the same steps."""

    chunk: int
    """Steps between reports that suit it: it begins anew after each."""

    def advance(self, state: State, stop: float, limit: int) -> tuple[State, Failure | None]:
        """Go on from `state` towards the time `stop` by at most `limit` steps, accepted and rejected ones.

        Returns the new state, with the knots between the two, and why it cannot go on from there, or None.
        """


def states(
    integrator: Integrator,
    state: State,
    stops: np.ndarray,
    max_steps: int,
    f: BoundFlow | None = None,
    chunk: int | None = None,
) -> Iterator[State]:
    """The states of a run from `state` through the times `stops`, at each of which a step ends.

    At the jumps of the flow of `f` it ends just before, so that no stage is taken beyond, and its state is that of the
    jump: the step after it begins there.

    There are at most `chunk` steps between two of them, by default as many as suit the integrator. The run takes at
    most `max_steps` steps, those of `state` included. Raises `IntegrationError` where it cannot go on, after yielding
    the last good state.
    """
    jumps = () if f is None else f.rhs.flow.jumps
    for stop in map(float, stops):
        end = before(stop, f.rhs.backend.dtype) if f is not None and stop in jumps else stop
        while state.time < end:
            left = max_steps - state.accepted - state.rejected
            if left <= 0:
                raise IntegrationError(state.time, f"max_steps={max_steps} was reached", Reason.max_steps)
            new, failure = integrator.advance(state, end, min(chunk or integrator.chunk, left))
            new = replace(new, time=stop) if new.time == end != stop else new
            if new is not state:
                yield (state := new)
            if failure is not None:
                raise IntegrationError(state.time, failure.words, failure.reason)
