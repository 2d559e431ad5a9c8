"""What the Krylov solvers share: their settings, and the restarts that keep them honest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from ..errors import InputError, positive_int, real
from .base import Solution, Solver, State, checked_shift
from .elimination import Elimination
from .problem import NormalProblem, relative

Array = Any

PASSES = 3
"""Runs of a recurrence in one solve: the first, and at most two restarts."""
SLACK = 2.0
"""Relative residual over the one it was to reach, beyond which a solve stagnates."""
ROUNDING = 10
"""The smallest relative residual to aim at, in rounding units of the dtype."""


@dataclass(frozen=True)
class KrylovState(State):
    """What is known of G without forming it."""

    mean_diagonal: Array
    """trace(G)/m, 0-dim."""
    rtol: float
    """The relative residual to reach."""
    elimination: Elimination | None
    """What is solved exactly before the iteration on the rest."""


class Pass(NamedTuple):
    """Where a run of a recurrence begins, and where it has to end."""

    target: Array | None
    """y, (n,), where it is known."""
    xi: Array
    """ξ, (m,)."""
    residual: Array
    """b − (G+σ)ξ, (m,)."""
    goal: Array
    """The |b − (G+σ)ξ| to reach, 0-dim."""
    steps: Array
    """Iterations so far, 0-dim."""
    budget: int
    """Most iterations in all."""


K = TypeVar("K", bound=KrylovState)


@dataclass(frozen=True)
class Krylov(Solver[K]):
    """A matrix-free solver of (G + σ) ξ = b, σ = `shift` × the mean diagonal of G.

    Unless it says otherwise it stops at |b − (G+σ)ξ| ≤ `rtol` |b| (None: the `tolerance` given to `init`), or after
    `max_steps` iterations (None: 10 m, at least 500 and at most 10000). A recurrence only estimates its residual, so
    the true one is computed when it claims to be done, and the iteration restarted from there, at most
    twice, where that is still too large. A residual below its own rounding error is not pursued: what lies
    below is noise, and the iteration would amplify the part of it that is in the kernel of G.

    Raises `InputError` where `rtol` is not in (0, 1), `max_steps` < 1 or `shift` is negative or not finite.
    """

    rtol: float | None = None
    max_steps: int | None = None
    shift: float = 1e-8
    shifted = True

    def __post_init__(self) -> None:
        checked_shift(self.shift)
        if self.rtol is not None and not 0 < real("rtol", self.rtol) < 1:
            raise InputError(f"rtol must be None or in (0, 1), got {self.rtol!r}")
        if self.max_steps is not None:
            positive_int("max_steps", self.max_steps)

    def goal(self, tolerance: float) -> float:
        """The relative residual to reach."""
        return tolerance if self.rtol is None else self.rtol

    def budget(self, size: int) -> int:
        """The most iterations for m = `size`."""
        return self.max_steps or min(max(10 * size, 500), 10_000)

    def stagnates(self, residual: float, steps: int, size: int, tolerance: float) -> bool:
        """See `Solver.stagnates`."""
        return not residual <= SLACK * self.goal(tolerance)

    def loosened(self, rtol: float) -> Krylov[K]:
        """See `Solver.loosened`."""
        return replace(self, rtol=max(self.rtol or 0.0, rtol))

    def known(self, problem: NormalProblem, tolerance: float) -> KrylovState:
        """What every one of them knows."""
        mean = problem.mean_diagonal()
        return KrylovState(problem, self.shift * mean, mean, self.goal(tolerance), None)

    def reduced(self, problem: NormalProblem, tolerance: float) -> KrylovState:
        """The same, with the problem's Kronecker block eliminated (not at shift = 0, where ξ is to have least norm)."""
        known = self.known(problem, tolerance)
        if problem.block is None or self.shift == 0:
            return known
        return replace(known, elimination=Elimination.of(problem, problem.block, known.sigma))

    def checked(self, problem: NormalProblem, b: Array | None, start: Array | None) -> Array:
        """The right-hand side, `b` or the problem's own; `InputError` where `start` is not (m,)."""
        rhs = problem.rhs if b is None else b
        if start is not None and tuple(start.shape) != tuple(rhs.shape):
            raise InputError(f"start must have shape {tuple(rhs.shape)}, got {tuple(start.shape)}")
        return rhs

    def solve(self, state: K, b: Array | None = None, start: Array | None = None) -> Solution:
        """See `Solver.solve`. Raises `InputError` where `start` is not (m,)."""
        problem, xp = state.problem, state.problem.backend.xp
        rhs = self.checked(problem, b, start)
        goal = max(state.rtol, ROUNDING * rounding_unit(xp, rhs)) * norm(xp, rhs)
        elimination = state.elimination
        if elimination is None:
            xi, residual, steps = self._passes(state, rhs, problem.target if b is None else None, start, goal)
            return Solution(xi, relative(xp, residual, rhs), steps)
        rest = elimination.reduced()
        target = rest.target if b is None else None
        start = None if start is None else elimination.rest * start
        xi, _, steps = self._passes(replace(state, problem=rest), elimination.force(rhs), target, start, goal)
        xi = elimination.recovered(xi, rhs)
        return Solution(xi, relative(xp, problem.residual(xi, state.sigma, rhs), rhs), steps)

    def _passes(
        self, state: K, rhs: Array, target: Array | None, start: Array | None, goal: Array
    ) -> tuple[Array, Array, Array]:
        """(ξ, its true residual, all steps) of (G + σ) ξ = `rhs`, (m,), to a residual of `goal`."""
        problem, sigma, xp = state.problem, state.sigma, state.problem.backend.xp
        budget = self.budget(problem.size)

        def proceed(now: tuple) -> Array:
            _, residual, steps, passes = now
            return (norm(xp, residual) > goal) & (steps < budget) & (passes < PASSES)

        def one_pass(now: tuple) -> tuple:
            xi, residual, steps, passes = now
            new_xi, steps = self.iterate(state, Pass(target, xi, residual, goal, steps, budget))
            new_residual = problem.residual(new_xi, sigma, rhs)
            # a pass that does not help is dropped and is the last; one that ends in NaN is not hidden
            worse = norm(xp, new_residual) >= norm(xp, residual)
            return (
                xp.where(worse, xi, new_xi),
                xp.where(worse, residual, new_residual),
                steps,
                xp.where(worse, xp.full_like(passes, PASSES), passes + 1),
            )

        # 0·b rather than zeros: a right-hand side that is not finite must not give the ξ of an equilibrium
        xi = 0 * rhs if start is None else start + 0 * rhs
        residual = rhs if start is None else problem.residual(xi, sigma, rhs)
        none = xp.zeros_like(goal, dtype=xp.int32)
        xi, residual, steps, _ = problem.backend.while_loop(proceed, one_pass, (xi, residual, none, none))
        return xi, residual, steps

    def iterate(self, state: K, begin: Pass) -> tuple[Array, Array]:
        """One run of the recurrence: (the new ξ, all steps).

        It ends where the recurrence puts |b − (G+σ)ξ| at or below `goal` or below the rounding error of
        computing it, or where `steps` reaches `budget`.
        """
        raise NotImplementedError


def norm(xp: Any, vector: Array) -> Array:
    """The Euclidean norm, 0-dim."""
    return xp.sqrt(xp.sum(vector * vector))


def rounding_unit(xp: Any, vector: Array) -> float:
    """ε of the vector's dtype."""
    return float(xp.finfo(vector.dtype).eps)


def divide(xp: Any, numerator: Array, denominator: Array) -> Array:
    """numerator / denominator, and 0 where the 0-dim denominator is 0."""
    nonzero = denominator != 0
    quotient = numerator / xp.where(nonzero, denominator, xp.ones_like(denominator))
    return xp.where(nonzero, quotient, xp.zeros_like(quotient))
