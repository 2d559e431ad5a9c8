"""Affine maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ..arrays import like, unpack
from ..backend.protocol import Backend
from ..errors import choice, positive_int, settle
from .base import Image, Map
from .blocks import Block
from .factors import Factors, product

Array = Any


@dataclass(frozen=True)
class Affine(Map):
    """T(z) = A z + b, z in whitened coordinates. θ holds the free entries of A, row by row, then b.

    `structure` is "full" (m = d² + d), "lower_triangular" (m = d(d+1)/2 + d) or "diagonal" (m = 2d).
    The full map holds every Gaussian; a triangular one does too, but its tangent space lacks the
    gradient fields that `Relaxed` needs: use `Wasserstein` with it.
    """

    dim: int
    structure: str = "full"

    constant_tangent = True
    has_divergences = True

    def __post_init__(self) -> None:
        settle(self, dim=positive_int("dim", self.dim))
        known = ("full", "lower_triangular", "diagonal")
        settle(self, structure=choice("structure", self.structure, known))

    @cached_property
    def pattern(self) -> np.ndarray:
        """The (row, column) pairs of A's free entries, (k, 2)."""
        full = np.ones((self.dim, self.dim))
        masks = {"full": full, "lower_triangular": np.tril(full), "diagonal": np.eye(self.dim)}
        return np.argwhere(masks[self.structure])

    @property
    def size(self) -> int:
        return len(self.pattern) + self.dim

    def initial(self) -> np.ndarray:
        diagonal = (self.pattern[:, 0] == self.pattern[:, 1]).astype(float)
        return np.concatenate([diagonal, np.zeros(self.dim)])

    @property
    def moves(self) -> np.ndarray:
        return np.concatenate([self.pattern[:, 0], np.arange(self.dim)])

    def matrix(self, theta: Array) -> tuple[Array, Array]:
        """A (d, d) and b (d,)."""
        d, k = self.dim, len(self.pattern)
        entries, b = unpack(theta, (k,), (d,))
        if self.structure == "full":
            return entries.reshape((d, d)), b
        scatter = np.zeros((d * d, k))
        scatter[self.pattern[:, 0] * d + self.pattern[:, 1], np.arange(k)] = 1
        return (like(scatter, theta) @ entries).reshape((d, d)), b

    def __call__(self, theta: Array, z: Array) -> Array:
        A, b = self.matrix(theta)
        return z @ A.T + b

    def push(self, backend: Backend, theta: Array, z: Array, score: Array | None = None) -> Image:
        A, b = self.matrix(theta)
        xp = backend.xp
        sign, log_det = xp.linalg.slogdet(A)
        ones = xp.ones_like(z[:, 0])
        if score is not None:
            score = score @ xp.linalg.inv(A)
        return Image(z @ A.T + b, sign * ones, log_det * ones, score)

    def divergences(self, backend: Backend, theta: Array, z: Array, against: Array) -> Array:
        """Of the field e_i z_j: against_ji; a shift has none."""
        flat = against.reshape((-1, self.dim**2))[:, self.pattern[:, 1] * self.dim + self.pattern[:, 0]]
        return backend.xp.concat([flat, backend.xp.zeros_like(z)], axis=1)

    def factors(self, backend: Backend, theta: Array, z: Array, outer: Array | None = None) -> Factors:
        xp, d, k = backend.xp, self.dim, len(self.pattern)
        A, _ = self.matrix(theta)
        ones = xp.ones_like(z[:, :1])
        shift = Block(d, ones, outer)
        if self.structure == "diagonal":
            return Factors(
                blocks=(Block(d, ones, outer, z), shift),
                spread=lambda xi: [xi[:d, None], xi[d:, None]],
                gather=lambda blocks: xp.concat([P[:, 0] for P in blocks]),
                places=(np.arange(d)[:, None], np.arange(d, 2 * d)[:, None]),
                through=lambda: product(outer, A),
            )

        def spread(xi: Array) -> list[Array]:
            matrix, b = self.matrix(xi)
            return [array_namespace(xi).concat([matrix, b[:, None]], axis=1)]

        def gather(blocks: Sequence[Array]) -> Array:
            entries = blocks[0][:, :d].reshape(-1)
            flat = self.pattern[:, 0] * d + self.pattern[:, 1]
            return xp.concat([entries if k == d * d else entries[flat], blocks[0][:, d]])

        return Factors(
            blocks=(Block(d, xp.concat([z, ones], axis=1), outer),),
            spread=spread,
            gather=gather,
            places=(spread(np.arange(self.size))[0] if self.structure == "full" else None,),
            through=lambda: product(outer, A),
        )


@dataclass(frozen=True)
class Identity(Map):
    """T(z) = z, without parameters; the neutral element of composition."""

    dim: int

    constant_tangent = True

    def __post_init__(self) -> None:
        settle(self, dim=positive_int("dim", self.dim))

    @property
    def size(self) -> int:
        return 0

    def initial(self) -> np.ndarray:
        return np.zeros(0)

    def __call__(self, theta: Array, z: Array) -> Array:
        return z

    def push(self, backend: Backend, theta: Array, z: Array, score: Array | None = None) -> Image:
        ones = backend.xp.ones_like(z[:, 0])
        return Image(z, ones, 0 * ones, score)

    def factors(self, backend: Backend, theta: Array, z: Array, outer: Array | None = None) -> Factors:
        return Factors((), lambda xi: [], lambda blocks: theta, (), lambda: outer)
