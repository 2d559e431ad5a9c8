"""What a solver of G ξ = b is, and what the rest of the package may ask of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from ..errors import InputError, real
from .problem import NormalProblem

Array = Any


class Solution(NamedTuple):
    """What a solver found, and how."""

    xi: Array
    """The solution ξ, (m,)."""
    relative_residual: Array
    """|b − Gξ − σξ| / |b|, computed from ξ itself (never a recurrence's estimate); σ is `State.sigma`."""
    steps: Array
    """Iterations taken; 0 for a direct solve."""
    fallback: Any = 0
    """1 where a factorisation failed and something else gave ξ, else 0."""


class Stored(NamedTuple):
    """Arrays that solve (G + σ) ξ = b for every b, to be kept where G stays as it is."""

    matrix: Array
    """G, (m, m)."""
    sigma: Array
    """σ, 0-dim."""
    inverse: Array
    """b ↦ ξ, (m, m)."""
    fallback: Array
    """See `Solution.fallback`."""


@dataclass(frozen=True)
class State:
    """What a solver knows of one G before it meets a right-hand side; solvers add what they keep to it.

    It holds arrays and functions of them: in jax it is used inside the function that made it, or further inside.
    """

    problem: NormalProblem
    sigma: Array
    """The σ ≥ 0 of the equation (G + σ) ξ = b that is solved, 0-dim; 0 for a filter."""

    @property
    def gram(self) -> Array:
        """G, dense, (m, m): formed here, or already at hand."""
        return self.problem.form_gram()


S = TypeVar("S", bound=State)


class Solver(Generic[S]):
    """How G ξ = b is solved, as lineax has it: `init` does what G alone asks for, `solve` takes a b.

    Solvers are frozen dataclasses of settings. A subclass writes `name`, `init` and `solve`, and says by the
    other attributes what it is:

    - `needs_target`: it works on A and y rather than on G and b;
    - `shifted`: it solves (G + σ) ξ = b with the σ of its state, rather than filtering the spectrum of G. Implicit
      methods then need no derivative of `solve`;
    - `differentiable`: frameworks can differentiate its `solve` with respect to G and b;
    - `direct`: the work is in `init`, so that m right-hand sides, an inverse, cost little more than one.
    """

    name: str
    needs_target: bool = False
    shifted: bool = False
    differentiable: bool = True
    direct: bool = False

    def resolve(self, size: int, rows: int | None = None, shift: float | None = None) -> Solver:
        """The solver that is used for m = `size` unknowns and n = `rows` equations (None: not known).

        `shift` is the one that a map asks for, of a solver that was left to choose.
        """
        return self

    def goal(self, tolerance: float) -> float | None:
        """The relative error, in its own norm, that an iteration is to reach at a flow's `tolerance`; else None."""
        return None

    def stagnates(self, residual: float, steps: int, size: int, tolerance: float) -> bool:
        """Whether a solve for m = `size`, with this relative `residual` after `steps`, missed that goal."""
        return False

    def loosened(self, rtol: float) -> Solver:
        """This solver, with a goal not below `rtol`."""
        return self

    def init(self, problem: NormalProblem, tolerance: float, near: S | None = None) -> S:
        """What is to be known of G, to be used with any number of right-hand sides.

        `tolerance` is the relative residual to reach where the solver has none of its own. `near` is a state of this
        solver for a G close by, from which it may take what makes an iteration short, never what changes ξ.
        """
        raise NotImplementedError

    def solve(self, state: S, b: Array | None = None, start: Array | None = None) -> Solution:
        """ξ for the right-hand side `b` (m,), or for the problem's own, whose y may be known.

        `start` is a first guess (m,) for the iterative ones. What is not finite in G or b comes back as a ξ and a
        residual that are not finite, in place of an exception.
        """
        raise NotImplementedError

    def stored(self, state: S) -> Stored | None:
        """What of `state` solves other problems with the same G; None where that saves nothing."""
        return None

    def restored(self, problem: NormalProblem, stored: Stored) -> State:
        """The state of a `problem` whose G is the one that was stored."""
        raise NotImplementedError

    def preconditioner(self, state: S) -> Callable[[Array], Array]:
        """v ↦ P v, (m,) → (m,), with P near (G + σ)⁻¹ as far as it is known without an iteration."""
        return lambda v: v


def checked_shift(value: Any) -> float:
    """`value` as a relative shift, or an `InputError`: a finite number >= 0."""
    number = real("shift", value)
    if number < 0:
        raise InputError(f"shift must be >= 0, got {value!r}")
    return number
