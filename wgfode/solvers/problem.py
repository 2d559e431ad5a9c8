"""The linear problem that a metric poses to a solver: G ξ = b, with G = AᵀA."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..backend.protocol import Backend
from ..errors import InputError
from ..kronecker import KroneckerBlock

Array = Any


@dataclass(frozen=True)
class NormalProblem:
    """min_ξ |Aξ − y|² through G ξ = b, where G = AᵀA is m×m and b = Aᵀy.

    `apply` is A· (m,) → (n,), `adjoint` is Aᵀ· (n,) → (m,). `target` is y, (n,), or None where only b is
    known (the "energy" estimator), and then a solver that needs y works on b instead. `form_gram` forms G
    densely, (m, m); `mean_diagonal` is trace(G)/m, exact and without G. `rows` is n, where it is known. `block` is a
    part of ξ that can be eliminated, where there is one. `square` is |·|² of what A gives, where that is split over
    devices; None for a plain sum.
    """

    backend: Backend
    rhs: Array
    apply: Callable[[Array], Array]
    adjoint: Callable[[Array], Array]
    form_gram: Callable[[], Array]
    mean_diagonal: Callable[[], Array]
    target: Array | None = None
    rows: int | None = None
    block: KroneckerBlock | None = None
    square: Callable[[Array], Array] | None = None

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
            mean_diagonal=lambda: backend.xp.sum(a * a) / a.shape[1],
            target=y,
            rows=int(a.shape[0]),
        )

    @property
    def size(self) -> int:
        """m, the number of unknowns."""
        return int(self.rhs.shape[0])

    def squared(self, y: Array) -> Array:
        """|y|² of a y like the target, 0-dim."""
        return self.backend.xp.sum(y * y) if self.square is None else self.square(y)

    def apply_gram(self, xi: Array) -> Array:
        """G ξ, (m,), without forming G."""
        return self.adjoint(self.apply(xi))

    def residual(self, xi: Array, shift: Any = 0.0, b: Array | None = None) -> Array:
        """b − (G + shift) ξ, (m,), matrix-free; `b` is the problem's own where none is given."""
        return (self.rhs if b is None else b) - self.apply_gram(xi) - shift * xi


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
            mean_diagonal=lambda: backend.xp.mean(backend.xp.linalg.diagonal(matrix)), matrix=matrix,
        )  # fmt: skip

    def apply_gram(self, xi: Array) -> Array:
        return self.matrix @ xi


def relative(xp: Any, residual: Array, b: Array) -> Array:
    """|residual| / |b|, 0-dim; |residual| where b = 0."""
    size, scale = xp.sqrt(xp.sum(residual**2)), xp.sqrt(xp.sum(b**2))
    return xp.where(scale > 0, size / xp.where(scale > 0, scale, xp.ones_like(scale)), size)
