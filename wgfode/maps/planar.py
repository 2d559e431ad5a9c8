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
        h = self._heights(theta, z)
        answers, jacobian = self._answers(theta, h, outer)
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
            places=(None, None),
            through=lambda: jacobian,
            lengths=lambda weights: self._lengths(theta, z, h, answers, outer, weights),
        )

    def _heights(self, theta: Array, z: Array) -> Array:
        """h_k, (N, layers)."""
        xp = array_namespace(z)

        def layer(x: Array, own: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
            u, w, b = own
            h = xp.tanh(x @ w + b)
            return x + h[:, None] * u, (h,)

        return sweep(layer, z, self.parameters(theta))[1][0].T

    def _answers(self, theta: Array, h: Array, outer: Array | None) -> tuple[Array, Array]:
        """c_k = h'_k A_k u_k, (N, d, layers), and A_0, (N, d, d).

        A_k, the Jacobian of everything after layer k, from A_(k−1) = A_k + c_k w_kᵀ, last layer first.
        """
        xp, (N, d) = array_namespace(h), (len(h), self.dim)
        u, w, _ = self.parameters(theta)

        def layer(A: Array, own: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
            u, w, slope = own
            c = slope[:, None] * (A @ u).reshape((N, d))
            return A + c.reshape((-1, 1)) * w, (c,)

        A, (c,) = sweep(layer, self._end(h, outer), (u, w, (1 - h**2).T), reverse=True)
        return xp.permute_dims(c, (1, 2, 0)), A.reshape((N, d, d))

    def _end(self, h: Array, outer: Array | None) -> Array:
        """`outer` at each point, (N·d, d): its products with one vector are one matrix product."""
        end = like(np.eye(self.dim), h) if outer is None else outer
        return (array_namespace(h).zeros_like(h[:, :1, None]) + end).reshape((-1, self.dim))

    def _lengths(self, theta: Array, z: Array, h: Array, answers: Array, outer: Array | None, weights: Array) -> Array:
        """Σ_n weights_n |∂T/∂θ_i|² of every parameter, (m,): h_k A_k of u_k, c_k xᵀ of w_k at the layer's input x."""
        xp, (N, d) = array_namespace(z), z.shape
        u, w, _ = self.parameters(theta)
        heavy = weights[:, None] * xp.sum(answers**2, axis=1)

        def inputs(x: Array, own: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
            h, u, heavy = own
            return x + h[:, None] * u, (heavy @ x**2,)

        def outputs(A: Array, own: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
            c, w, heights = own
            return A + c.reshape((-1, 1)) * w, (heights @ xp.sum(A.reshape((N, d, d)) ** 2, axis=1),)

        of_w = sweep(inputs, z, (h.T, u, heavy.T))[1][0]
        c = xp.permute_dims(answers, (2, 0, 1))
        of_u = sweep(outputs, self._end(h, outer), (c, w, (weights[:, None] * h**2).T), reverse=True)[1][0]
        return xp.concat([of_u.reshape(-1), of_w.reshape(-1), xp.sum(heavy, axis=0)])
