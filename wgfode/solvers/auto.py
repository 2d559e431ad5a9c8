"""The default: a solver picked by size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .base import Solution, Solver, State
from .cg import CG
from .cholesky import Cholesky
from .eigh import Eigh
from .problem import NormalProblem

Array = Any

EIGH_SIZE = 300
"""The largest m for Eigh: an eigendecomposition costs some 20 factorisations, and here that is little."""
DENSE_SIZE = 2000
"""The largest m for a direct solve."""
DENSE_WORK = 1e11
"""The most multiplications, n m², to spend on forming G: a second or so on a few cores."""


@dataclass(frozen=True)
class Auto(Solver):
    """Eigh for few unknowns, Cholesky for some thousand, CG beyond them.

    The choice depends on shapes alone: it is the same along a run, and known before it (`resolve`).
    """

    name = "Auto"

    def resolve(self, size: int, rows: int | None = None, shift: float | None = None) -> Solver:
        """See `Solver.resolve`: the solver picked, by its `name`."""
        affordable = rows is None or rows * size**2 <= DENSE_WORK
        given: dict[str, Any] = {} if shift is None else {"shift": shift}
        if size <= EIGH_SIZE and affordable:
            return Eigh(**given)
        if size <= DENSE_SIZE and affordable:
            return Cholesky(**given)
        return CG(**given)

    def _resolved(self, problem: NormalProblem) -> Solver:
        return self.resolve(problem.size, problem.rows)

    def init(self, problem: NormalProblem, tolerance: float, near: State | None = None) -> State:
        """See `Solver.init`: the state of the solver that is picked."""
        return self._resolved(problem).init(problem, tolerance, near)

    def solve(self, state: State, b: Array | None = None, start: Array | None = None) -> Solution:
        """See `Solver.solve`."""
        return self._resolved(state.problem).solve(state, b, start)
