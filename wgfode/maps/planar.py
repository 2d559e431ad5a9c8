"""Planar normalizing flow."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ..arrays import unpack
from ..backend.fold import fold
from ..backend.protocol import Backend
from ..errors import positive_int, settle
from .base import Image
from .ridges import Ridges

Array = Any


@dataclass(frozen=True, repr=False)
class Planar(Ridges):
    """T = f_K ∘ … ∘ f_1 with f_k(x) = x + u_k tanh(w_kᵀx + b_k) (Rezende & Mohamed 2015).

    θ holds u (layers, d), w (layers, d), b (layers,); it starts at u = 0, the identity, with
    directions w chosen by `init` ("random" or "axis", see `maps.ridges.Ridges`) for points at about `centre` with
    standard deviation `spread`; `scale` is their steepness there.
    A layer is injective while 1 + tanh'(·) uᵀw > 0 everywhere; `min_jacobian` in the dataset watches it.
    """

    layers: int
    _: KW_ONLY
    scale: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        settle(self, layers=positive_int("layers", self.layers))

    @property
    def size(self) -> int:
        return self.layers * (2 * self.dim + 1)

    def initial(self) -> np.ndarray:
        return self.start(self.layers)

    @property
    def moves(self) -> np.ndarray:
        return self.ridge_moves(self.layers)

    def parameters(self, theta: Array) -> tuple[Array, Array, Array]:
        """u (layers, d), w (layers, d), b (layers,)."""
        K, d = self.layers, self.dim
        u, w, b = unpack(theta, (K, d), (K, d), (K,))
        return u, w, b

    def __call__(self, theta: Array, z: Array) -> Array:
        tanh = array_namespace(z).tanh

        def layer(x: Array, own: tuple[Array, ...]) -> Array:
            u, w, b = own
            return x + tanh(x @ w + b)[:, None] * u

        return fold(layer, z, self.parameters(theta))

    def push(self, backend: Backend, theta: Array, z: Array, score: Array | None = None) -> Image:
        """Layer by layer: det ∂f = 1 + h'uᵀw, and (I + h'uwᵀ)^(−T) by Sherman–Morrison, O(d) a layer."""
        xp = backend.xp

        def layer(image: Image, own: tuple[Array, ...]) -> Image:
            x, sign, log_det, score = image
            u, w, b = own
            h = xp.tanh(x @ w + b)
            slope = 1 - h**2
            uw = xp.sum(u * w)
            det = 1 + slope * uw
            if score is not None:
                bend = -2 * h * slope  # tanh''
                score = score - (bend * uw / det)[:, None] * w
                score = score - (slope * (score @ u) / det)[:, None] * w
            return Image(x + h[:, None] * u, sign * xp.sign(det), log_det + xp.log(xp.abs(det)), score)

        ones = xp.ones_like(z[:, 0])
        return fold(layer, Image(z, ones, 0 * ones, score), self.parameters(theta))
