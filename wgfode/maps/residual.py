"""One residual layer of ridge functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ..arrays import unpack
from ..backend.protocol import Backend
from ..errors import positive_int, settle
from .base import Image
from .blocks import Block
from .factors import Factors, product
from .ridge_sum import RidgeSum
from .ridges import Ridges

Array = Any


@dataclass(frozen=True, repr=False)
class Residual(Ridges):
    """T(z) = z + Σ_k u_k tanh(w_kᵀz + b_k), k = 1 … width.

    θ holds u (width, d), w (width, d), b (width,); it starts at u = 0, the identity, with directions
    w chosen by `init` ("random" or "axis", see `maps.ridges.Ridges`) for points at about `centre` with standard
    deviation `spread`; `scale` is their steepness there. Its tangent
    space is that of a two-layer network, and wide layers resolve strongly nonlinear maps.
    """

    width: int

    def __post_init__(self) -> None:
        super().__post_init__()
        settle(self, width=positive_int("width", self.width))

    @property
    def size(self) -> int:
        return self.width * (2 * self.dim + 1)

    def initial(self) -> np.ndarray:
        return self.start(self.width)

    @property
    def moves(self) -> np.ndarray:
        return self.ridge_moves(self.width)

    def parameters(self, theta: Array) -> tuple[Array, Array, Array]:
        """u (width, d), w (width, d), b (width,)."""
        K, d = self.width, self.dim
        u, w, b = unpack(theta, (K, d), (K, d), (K,))
        return u, w, b

    def sum(self, theta: Array) -> RidgeSum:
        """T as a sum of ridges."""
        return RidgeSum(*self.parameters(theta))

    def __call__(self, theta: Array, z: Array) -> Array:
        here = self.sum(theta)
        return here.at(z, here.ridges(z))

    def push(self, backend: Backend, theta: Array, z: Array, score: Array | None = None) -> Image:
        return self.sum(theta).push(backend, z, score)

    def factors(self, backend: Backend, theta: Array, z: Array, outer: Array | None = None) -> Factors:
        xp, K, d = backend.xp, self.width, self.dim
        u, w, b = self.parameters(theta)
        h = xp.tanh(z @ w.T + b)
        slope = 1 - h**2
        outputs = Block(d, h, outer)
        inner = Block(K, xp.concat([z, xp.ones_like(z[:, :1])], axis=1), product(outer, u.T), slope)

        def spread(xi: Array) -> list[Array]:
            du, dw, db = self.parameters(xi)
            return [du.T, array_namespace(xi).concat([dw, db[:, None]], axis=1)]

        def gather(blocks: Sequence[Array]) -> Array:
            du, ridges = blocks
            return xp.concat([du.T.reshape(-1), ridges[:, :d].reshape(-1), ridges[:, d]])

        def through() -> Array | None:
            return product(outer, RidgeSum(u, w, b).jacobian(h))

        return Factors((outputs, inner), spread, gather, tuple(spread(np.arange(self.size))), through)
