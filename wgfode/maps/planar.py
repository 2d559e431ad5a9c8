"""Planar normalizing flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ..arrays import like, unpack
from ..backend.fold import fold, sweep
from ..backend.protocol import Backend
from ..errors import positive_int, settle
from .base import Image
from .blocks import Block
from .factors import Factors
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

    def factors(self, backend: Backend, theta: Array, z: Array, outer: Array | None = None) -> Factors:
        """J in two blocks with the same features Φ = (h_1 … h_K, z, 1).

        A velocity ξ = (u̇, ẇ, ḃ) moves the point by Σ_k u̇_k h_k + Σ_k c_k r_k: c_k = h'_k A_k u_k, with A_k the Jacobian
        of the later layers, is the image's answer to the argument of the ridge k, whose own velocity is

            r_k = ẇ_k·z + ḃ_k + Σ_{j<k} (w_k·u̇_j + ẇ_k·u_j) h_j,

        since the layer's input is z + Σ_{j<k} u_j h_j. So P_2 = `spread`(ξ)[1] mixes u̇ and ẇ by u and w, but not by z.
        """
        xp, K, d = backend.xp, self.layers, self.dim
        u, w, _ = self.parameters(theta)
        h, squared = self._heights(theta, z)
        answers, lengths, jacobian = self._answers(theta, h, outer)
        features = xp.concat([h, z, xp.ones_like(z[:, :1])], axis=1)
        earlier, none = like(np.tril(np.ones((K, K)), -1), z), like(np.zeros((d, d + 1)), z)

        def spread(xi: Array) -> list[Array]:
            du, dw, db = self.parameters(xi)
            mixed = earlier * (w @ du.T + dw @ u.T)
            return [xp.concat([du.T, none], axis=1), xp.concat([mixed, dw, db[:, None]], axis=1)]

        def gather(blocks: Sequence[Array]) -> Array:
            outputs, ridges = blocks
            mixed = earlier * ridges[:, :K]
            du = outputs[:, :K].T + mixed.T @ w
            dw = ridges[:, K : K + d] + mixed @ u
            return xp.concat([du.reshape(-1), dw.reshape(-1), ridges[:, K + d]])

        return Factors(
            blocks=(Block(d, features, outer), Block(K, features, answers)),
            spread=spread,
            gather=gather,
            squares=xp.sum(h**2 * lengths + xp.sum(answers**2, axis=1) * (squared + 1), axis=1),
            own=(False, False),
            through=lambda: jacobian,
        )

    def _heights(self, theta: Array, z: Array) -> tuple[Array, Array]:
        """h_k and the |x|² of the layer's input x, (N, layers) each."""
        xp = array_namespace(z)

        def layer(x: Array, own: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
            u, w, b = own
            h = xp.tanh(x @ w + b)
            return x + h[:, None] * u, (h, xp.sum(x**2, axis=1))

        h, squared = sweep(layer, z, self.parameters(theta))[1]
        return h.T, squared.T

    def _answers(self, theta: Array, h: Array, outer: Array | None) -> tuple[Array, Array, Array]:
        """c_k = h'_k A_k u_k, (N, d, layers), |A_k|² of Frobenius, (N, layers), and A_0, (N, d, d).

        A_k, the Jacobian of everything after layer k, from A_(k−1) = A_k + c_k w_kᵀ, last layer first.
        """
        xp, N, d = array_namespace(h), len(h), self.dim
        u, w, _ = self.parameters(theta)
        end = like(np.eye(d), h) if outer is None else outer
        end = xp.zeros_like(h[:, :1, None]) + end

        def layer(carry: tuple[Array, Array], own: tuple[Array, ...]) -> tuple[Any, tuple[Array, ...]]:
            A, length = carry  # (N·d, d): its products with one vector are one matrix product
            u, w, slope = own
            both = A @ xp.stack([u, w], axis=1)
            c = slope[:, None] * both[:, 0].reshape((N, d))
            grown = length + 2 * xp.sum(c * both[:, 1].reshape((N, d)), axis=1) + xp.sum(c**2, axis=1) * xp.sum(w**2)
            return (A + c.reshape((-1, 1)) * w, grown), (c, length)

        start = (end.reshape((N * d, d)), xp.sum(end**2, axis=(1, 2)))
        (A, _), (c, lengths) = sweep(layer, start, (u, w, (1 - h**2).T), reverse=True)
        return xp.permute_dims(c, (1, 2, 0)), lengths.T, A.reshape((N, d, d))
