"""The method that suits the stiffness, chosen along the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..rhs import RightHandSide
from .integrator import CHUNK, Failure, Integrator
from .methods import Method
from .state import State
from .stiffness import SpectralRadius, choose

LOOK = 64
"""Accepted steps between two looks at the stiffness."""


class Automatic:
    """An `Integrator` that hands over to another one, `make(method)`, and looks at the stiffness every `LOOK` steps.

    `end` is the last time of the run. The step size is kept at a switch from explicit to implicit and found anew the
    other way. `notes` says when which method took over, and is all that this integrator remembers: a run that goes
    on with the notes of an earlier part makes the same steps as one that was whole.
    """

    chunk = CHUNK

    def __init__(
        self, rhs: RightHandSide, make: Callable[[Method], Integrator], method: Method, end: float, notes: list[str]
    ):
        self.make, self.method, self.end, self.notes = make, method, end, notes
        self._radius = SpectralRadius(rhs)
        self._made: dict[str, Integrator] = {}

    def advance(self, state: State, stop: float, limit: int) -> tuple[State, Failure | None]:
        if not self.notes:
            self._note(state, self._suits(state, None))
        name = self.notes[-1].split()[-1]
        if name not in self._made:
            self._made[name] = self.make(replace(self.method, name=name))
        new, failure = self._made[name].advance(state, stop, limit)
        due = new.accepted // LOOK > state.accepted // LOOK and new.time < self.end
        if failure is None and due and (better := self._suits(new, name)) != name:
            self._note(new, better)
            new = replace(new, step=None) if better == "Tsit5" else new
        return new, failure

    def _suits(self, state: State, now: str | None) -> str:
        self._radius.forget()  # or a resumed run might choose otherwise
        return choose(self._radius.rhs, self._radius(state.time, state.theta), self.end - state.time, now)

    def _note(self, state: State, name: str) -> None:
        self.notes.append(f"t={state.time:.4g}: {name}")
