"""What the direct solvers share: a dense G, and an inverse that serves any number of right-hand sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .base import Solution, Solver, State, checked_shift
from .problem import relative

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

    def solve(self, state: DenseState, b: Array | None = None, start: Array | None = None) -> Solution:
        """See `Solver.solve`; `start` plays no part."""
        problem, xp = state.problem, state.problem.backend.xp
        b = problem.rhs if b is None else b
        xi = state.inverse(b)
        left = relative(xp, problem.residual(xi, state.sigma, b), b)
        return Solution(xi, left, xp.zeros_like(left, dtype=xp.int32), state.fallback)
