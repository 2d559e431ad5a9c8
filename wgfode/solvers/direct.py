"""What the direct solvers share: a dense G, and an inverse that serves any number of right-hand sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .base import Solution, Solver, State, Stored, checked_shift
from .problem import GramProblem, NormalProblem, relative

Array = Any


@dataclass(frozen=True)
class DenseState(State):
    """A factorised G."""

    matrix: Array
    """G, (m, m)."""
    inverse: Callable[[Array], Array]
    """b ↦ ξ, (m,) → (m,)."""
    fallback: Any = 0
    """1 where the inverse is not that of G + σ, because its factorisation failed."""

    @property
    def gram(self) -> Array:
        return self.matrix


@dataclass(frozen=True)
class Direct(Solver[DenseState]):
    """A solver that forms G and factorises it once; subclasses say how, in `init`.

    Raises `InputError` where `shift` is negative or not finite.
    """

    shift: float
    direct = True

    def __post_init__(self) -> None:
        checked_shift(self.shift)

    def stored(self, state: DenseState) -> Stored:
        """See `Solver.stored`."""
        backend = state.problem.backend
        columns = backend.vmap(state.inverse)(backend.asarray(np.eye(state.problem.size)))
        fallback = backend.xp.zeros_like(state.sigma) + state.fallback
        return Stored(state.matrix, state.sigma, columns.T, fallback)

    def restored(self, problem: NormalProblem, stored: Stored) -> DenseState:
        """See `Solver.restored`; products with G are then with the matrix."""
        known = GramProblem.of(problem.backend, stored.matrix, problem.rhs)
        return DenseState(known, stored.sigma, stored.matrix, lambda b: stored.inverse @ b, stored.fallback)

    def solve(self, state: DenseState, b: Array | None = None, start: Array | None = None) -> Solution:
        """See `Solver.solve`; `start` plays no part."""
        problem, xp = state.problem, state.problem.backend.xp
        b = problem.rhs if b is None else b
        xi = state.inverse(b)
        left = relative(xp, problem.residual(xi, state.sigma, b), b)
        return Solution(xi, left, xp.zeros_like(left, dtype=xp.int32), state.fallback)
