"""Khatri–Rao factors of a map's tangent operator J(θ) = ∂_θT_θ.

A *block* is a matrix of parameters P (a, f) that moves the point n by B_n P φ_n: its columns of J are an output factor
B_n (d, a) times features φ_n (f,). All parameters of a map are blocks after a linear map that no point enters,
ξ ↦ (P_1, P_2, …). Products with J and Jᵀ are then matrix products, and the Gram matrix is one of moments (`moments`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ..arrays import unpack
from ..backend.protocol import Backend
from .blocks import Block
from .moments import moments, products

Array = Any


@dataclass(frozen=True)
class Factors:
    """J(θ) at N points in blocks: J ξ = Σ_i B_i P_i φ_i with (P_1, P_2, …) = `spread`(ξ)."""

    blocks: tuple[Block, ...]
    spread: Callable[[Array], list[Array]]
    """ξ ↦ the blocks' parameters, (m,) → [(a, f), …], linear and without the points."""
    gather: Callable[[Sequence[Array]], Array]
    """The transpose of `spread`, [(a, f), …] → (m,)."""
    places: tuple[np.ndarray | None, ...]
    """Where in ξ the entries of each P are, (a, f); None for a P that holds more than parameters by themselves."""
    through: Callable[[], Array | None]
    """() ↦ outer · ∂_zT, the Jacobian of everything from the map's input on, in the forms of `Map.factors`' outer."""
    lengths: Callable[[Array], Array] | None = None
    """`columns`, where a P mixes parameters; None where each entry is one of them, or none."""

    def apply(self, xi: Array) -> Array:
        """J ξ, (m,) → (N, d)."""
        return sum(block.apply(P) for block, P in zip(self.blocks, self.spread(xi), strict=True))

    def adjoint(self, w: Array) -> Array:
        """Jᵀ w, (N, d) → (m,)."""
        return self.gather([block.adjoint(w) for block in self.blocks])

    def products(self, backend: Backend, w: Array) -> Array:
        """J_nᵀw_n of each point, (N, d) → (N, m)."""
        each = [block.products(w) for block in self.blocks]
        return backend.vmap(lambda *blocks: self.gather(blocks))(*each)

    def columns(self, weights: Array) -> Array:
        """Σ_n weights_n |J_n,·i|² of each parameter i, (m,): the diagonal of the Gram matrix."""
        if self.lengths is not None:
            return self.lengths(weights)
        return self.gather([block.columns(weights) for block in self.blocks])

    def separable(self, sizes: np.ndarray | float = 1.0) -> int | None:
        """The first block with one B for all points whose P are parameters by themselves; None without.

        Where they have `sizes` (m,), those of a row of P must be of one size.
        """

        def alike(places: np.ndarray | None) -> bool:
            if places is None or isinstance(sizes, float):
                return places is not None
            return bool((sizes[places] == sizes[places[:, :1]]).all())

        found = (i for i, block in enumerate(self.blocks) if block.constant and alike(self.places[i]))
        return next(found, None)

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
    begins = np.cumsum([0, *sizes])
    places = tuple(
        None if own is None else begin + own for begin, part in zip(begins, parts, strict=False) for own in part.places
    )

    def lengths(weights: Array) -> Array:
        return array_namespace(weights).concat([part.columns(weights) for part in parts])

    return Factors(blocks, spread, gather, places, through, lengths)


def product(outer: Array | None, matrix: Array | None) -> Array | None:
    """outer · matrix, where each is one matrix, a matrix a point (N, ·, ·), or None for the identity."""
    if outer is None or matrix is None:
        return matrix if outer is None else outer
    if outer.ndim == 3 and matrix.ndim == 2:  # one product of a tall matrix
        return (outer.reshape((-1, outer.shape[-1])) @ matrix).reshape((*outer.shape[:2], -1))
    return outer @ matrix
