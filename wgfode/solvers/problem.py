"""The linear problem that a metric poses to a solver: G ξ = b, with G = AᵀA."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from ..backend.protocol import Backend
from ..errors import InputError, real

Array = Any


class Solution(NamedTuple):
    """What a solver found, and how."""

    xi: Array
    """The solution ξ, (m,)."""
    relative_residual: Array
    """|b − Gξ − σξ| / |b|, computed from ξ itself (never a recurrence's estimate); σ is `Solver.sigma`."""
    steps: Array
    """Iterations taken; 0 for a direct solve."""
    fallback: Any = 0
    """1 where a factorisation failed and something else gave ξ, else 0."""


@dataclass(frozen=True)
class NormalProblem:
    """min_ξ |Aξ − y|² through G ξ = b, where G = AᵀA is m×m and b = Aᵀy.

    `apply` is A· (m,) → (n,), `adjoint` is Aᵀ· (n,) → (m,). `target` is y, (n,), or None where only b is
    known (the "energy" estimator, a tangent solve), and then a solver that needs y works on b instead.
    `form_gram` forms G densely, (m, m). `estimate_mean_diagonal` is trace(G)/m, or a fixed-probe
    estimate of it where G is not formed. `rows` is n, where it is known.

    In jax, call `Solver.prepare(problem)` before `backend.root`: G and its mean diagonal are kept once
    they are formed, and what is formed inside a traced function must not be used outside of it.
    """

    backend: Backend
    rhs: Array
    apply: Callable[[Array], Array]
    adjoint: Callable[[Array], Array]
    form_gram: Callable[[], Array]
    estimate_mean_diagonal: Callable[[], Array]
    target: Array | None = None
    rows: int | None = None

    @classmethod
    def from_matrix(cls, backend: Backend, matrix: Any, target: Any) -> NormalProblem:
        """The problem min_ξ |matrix ξ − target|², of a dense (n, m) matrix and an (n,) target.

        Raises `InputError` where the two shapes do not fit.
        """
        a, y = backend.asarray(matrix), backend.asarray(target)
        if a.ndim != 2 or tuple(y.shape) != (a.shape[0],):
            raise InputError(
                f"matrix and target must have shapes (n, m) and (n,), got {tuple(a.shape)} and {tuple(y.shape)}"
            )
        return cls(
            backend=backend,
            rhs=a.T @ y,
            apply=lambda xi: a @ xi,
            adjoint=lambda w: a.T @ w,
            form_gram=lambda: a.T @ a,
            estimate_mean_diagonal=lambda: backend.xp.sum(a * a) / a.shape[1],
            target=y,
            rows=int(a.shape[0]),
        )

    def with_rhs(self, rhs: Array) -> NormalProblem:
        """The same G with another right-hand side (m,), and no target; a G already formed is kept."""
        other = replace(self, rhs=rhs, target=None)
        for key in ("gram", "mean_diagonal", "sketch"):
            if key in self.__dict__:
                other.__dict__[key] = self.__dict__[key]
        return other

    def near(self, other: NormalProblem) -> NormalProblem:
        """This problem, preconditioned as `other`, whose G is close to this one's."""
        if "sketch" in other.__dict__:
            self.__dict__["sketch"] = other.__dict__["sketch"]
        return self

    @property
    def size(self) -> int:
        """m, the number of unknowns."""
        return int(self.rhs.shape[0])

    def apply_gram(self, xi: Array) -> Array:
        """G ξ, (m,), without forming G."""
        return self.adjoint(self.apply(xi))

    @cached_property
    def gram(self) -> Array:
        """G, dense, formed once."""
        return self.form_gram()

    @cached_property
    def mean_diagonal(self) -> Array:
        """trace(G)/m, 0-dim: exact where G is formed, else as `estimate_mean_diagonal` has it."""
        if "gram" not in self.__dict__:
            return self.estimate_mean_diagonal()
        xp = self.backend.xp
        return xp.mean(xp.linalg.diagonal(self.gram))

    def residual(self, xi: Array, shift: Any = 0.0) -> Array:
        """b − (G + shift) ξ, matrix-free."""
        return self.rhs - self.apply_gram(xi) - shift * xi

    def relative(self, residual: Array) -> Array:
        """|residual| / |b|, 0 where b = 0."""
        xp = self.backend.xp
        norm, scale = xp.sqrt(xp.sum(residual**2)), xp.sqrt(xp.sum(self.rhs**2))
        return xp.where(scale > 0, norm / xp.where(scale > 0, scale, xp.ones_like(scale)), norm)


@dataclass(frozen=True)
class GramProblem(NormalProblem):
    """G ξ = b with the matrix G itself at hand, and no factor A of it."""

    matrix: Array = None

    @classmethod
    def of(cls, backend: Backend, matrix: Array, rhs: Array) -> GramProblem:
        """The problem of a symmetric `matrix` (m, m) and `rhs` (m,)."""

        def no_factor(_: Array) -> Array:
            raise NotImplementedError("G = AᵀA is known, A is not")

        return cls(
            backend=backend, rhs=rhs, apply=no_factor, adjoint=no_factor, form_gram=lambda: matrix,
            estimate_mean_diagonal=lambda: backend.xp.mean(backend.xp.linalg.diagonal(matrix)), matrix=matrix,
        )  # fmt: skip

    def apply_gram(self, xi: Array) -> Array:
        return self.matrix @ xi


class Solver:
    """How G ξ = b is solved. Solvers are frozen dataclasses; they hold settings, never state."""

    name: str
    needs_target: bool = False
    """Whether the solver works on A and y rather than on G and b."""

    def prepare(self, problem: NormalProblem) -> None:
        """Form, here and now, what `solve` keeps on `problem` (G, or its mean diagonal)."""
        raise NotImplementedError

    def sigma(self, problem: NormalProblem) -> Array:
        """The σ ≥ 0 of the equation (G + σ) ξ = b that is solved, a 0-dim array."""
        raise NotImplementedError

    def solve(self, problem: NormalProblem, tolerance: float, start: Array | None = None) -> Solution:
        """The solution of `problem`.

        `tolerance` is the relative residual to reach where the solver's own `rtol` is None;
        `start` is a first guess (m,) for the iterative ones. What is not finite in G or b comes back as
        a ξ and a residual that are not finite, in place of an exception.
        """
        raise NotImplementedError


def checked_shift(value: Any) -> float:
    """`value` as a relative shift, or an `InputError`: a finite number >= 0."""
    number = real("shift", value)
    if number < 0:
        raise InputError(f"shift must be >= 0, got {value!r}")
    return number
