"""Khatri–Rao factors of a map's tangent operator J(θ) = ∂_θT_θ.

A *block* is a matrix of parameters P (a, f) that moves the point n by B_n P φ_n: its columns of J are an output factor
B_n (d, a) times features φ_n (f,). All parameters of a map are blocks after a linear map that no point enters,
ξ ↦ (P_1, P_2, …). Products with J and Jᵀ are then matrix products, and the Gram matrix is one of moments (`moments`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from ..arrays import like, unpack
from ..backend.protocol import Backend
from .moments import moments, products

Array = Any


class Block(NamedTuple):
    """Parameters P (a, f) that move the point n by B_n P φ_n, with B_n = matrix · diag(scale_n)."""

    width: int
    """a."""
    features: Array
    """φ, (N, f)."""
    matrix: Array | None = None
    """(d, a), or (N, d, a) where it depends on the point; None is the identity, a = d."""
    scale: Array | None = None
    """(N, a); None is 1."""

    @property
    def shape(self) -> tuple[int, int]:
        """(a, f)."""
        return self.width, self.features.shape[1]

    @property
    def constant(self) -> bool:
        """Whether B is the same at all points."""
        return self.scale is None and (self.matrix is None or self.matrix.ndim == 2)

    def apply(self, P: Array) -> Array:
        """B_n P φ_n, (a, f) → (N, d)."""
        inner = self.features @ P.T
        if self.scale is not None:
            inner = inner * self.scale
        if self.matrix is None:
            return inner
        if self.matrix.ndim == 2:
            return inner @ self.matrix.T
        return array_namespace(inner).einsum("nda,na->nd", self.matrix, inner)

    def adjoint(self, w: Array) -> Array:
        """Σ_n B_nᵀ w_n φ_nᵀ, (N, d) → (a, f)."""
        if self.matrix is None:
            inner = w
        elif self.matrix.ndim == 2:
            inner = w @ self.matrix
        else:
            inner = array_namespace(w).einsum("nda,nd->na", self.matrix, w)
        if self.scale is not None:
            inner = inner * self.scale
        return inner.T @ self.features

    def lengths(self) -> Array:
        """|B_{n,·a}|², (N, a), or (1, a) where B is the same at all points."""
        xp = array_namespace(self.features)
        if self.matrix is None:
            lengths = like(np.ones((1, self.width)), self.features)
        else:
            lengths = xp.sum(self.matrix**2, axis=-2).reshape((-1, self.width))
        return lengths if self.scale is None else lengths * self.scale**2

    def squares(self) -> Array:
        """|B_n|² |φ_n|², (N,): the block's part of |J_n|² where each P_af is a parameter of its own."""
        xp = array_namespace(self.features)
        return xp.sum(self.lengths(), axis=1) * xp.sum(self.features**2, axis=1)


@dataclass(frozen=True)
class Factors:
    """J(θ) at N points in blocks: J ξ = Σ_i B_i P_i φ_i with (P_1, P_2, …) = `spread`(ξ)."""

    blocks: tuple[Block, ...]
    spread: Callable[[Array], list[Array]]
    """ξ ↦ the blocks' parameters, (m,) → [(a, f), …], linear and without the points."""
    gather: Callable[[Sequence[Array]], Array]
    """The transpose of `spread`, [(a, f), …] → (m,)."""
    squares: Array
    """|J_n|² of Frobenius, (N,): their mean is trace(Ĝ)."""
    through: Callable[[], Array | None]
    """() ↦ outer · ∂_zT, the Jacobian of everything from the map's input on, in the forms of `Map.factors`' outer."""

    def apply(self, xi: Array) -> Array:
        """J ξ, (m,) → (N, d)."""
        return sum(block.apply(P) for block, P in zip(self.blocks, self.spread(xi), strict=True))

    def adjoint(self, w: Array) -> Array:
        """Jᵀ w, (N, d) → (m,)."""
        return self.gather([block.adjoint(w) for block in self.blocks])

    def gram(self, backend: Backend, weights: Array) -> Array:
        """Σ_n weights_n J_nᵀJ_n, (m, m), from the moments of the blocks."""
        rows: list[list[Array]] = []
        for i, block in enumerate(self.blocks):
            above = [rows[j][i].T for j in range(i)]
            rows.append(above + [moments(backend.xp, block, other, weights) for other in self.blocks[i:]])
        raw = backend.xp.concat([backend.xp.concat(row, axis=1) for row in rows], axis=0)
        shapes = [block.shape for block in self.blocks]
        gather = backend.vmap(lambda row: self.gather(unpack(row, *shapes)))
        return gather(gather(raw).T)

    @property
    def tables(self) -> int:
        """Numbers a point that `gram` holds at once."""
        sizes = [(block.width**2, block.features.shape[1] ** 2) for block in self.blocks]
        return sum(outputs + features for outputs, features in sizes)

    @property
    def work(self) -> int:
        """Multiplications a point that `gram` takes."""
        return sum(products(block, other) for i, block in enumerate(self.blocks) for other in self.blocks[i:])


def composed(parts: Sequence[Factors], sizes: Sequence[int], through: Callable[[], Array | None]) -> Factors:
    """The factors of maps in a row, in the order of their parameters, of which each has `sizes`."""
    counts = [len(part.blocks) for part in parts]

    def spread(xi: Array) -> list[Array]:
        pieces = unpack(xi, *((size,) for size in sizes))
        return [P for part, piece in zip(parts, pieces, strict=True) for P in part.spread(piece)]

    def gather(blocks: Sequence[Array]) -> Array:
        pieces, begin = [], 0
        for part, count in zip(parts, counts, strict=True):
            pieces.append(part.gather(blocks[begin : begin + count]))
            begin += count
        return array_namespace(pieces[0]).concat(pieces)

    blocks = tuple(block for part in parts for block in part.blocks)
    return Factors(blocks, spread, gather, sum(part.squares for part in parts), through)


def product(outer: Array | None, matrix: Array | None) -> Array | None:
    """outer · matrix, where each is one matrix, a matrix a point (N, ·, ·), or None for the identity."""
    if outer is None or matrix is None:
        return matrix if outer is None else outer
    if outer.ndim == 3 and matrix.ndim == 2:  # one product of a tall matrix
        return (outer.reshape((-1, outer.shape[-1])) @ matrix).reshape((*outer.shape[:2], -1))
    return outer @ matrix
