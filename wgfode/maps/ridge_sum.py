"""A linear map plus ridge functions, with its density and score in closed form."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from ..arrays import like
from ..backend.protocol import Backend
from .base import Image

Array = Any


class RidgeSum(NamedTuple):
    """z ↦ z + c + A z + Σ_k u_k tanh(w_kᵀz + b_k), k = 1 … K."""

    u: Array
    """(K, d)."""
    w: Array
    """(K, d)."""
    b: Array
    """(K,)."""
    matrix: Array | None = None
    """A, (d, d); None is 0."""
    shift: Array | None = None
    """c, (d,); None is 0."""

    def ridges(self, z: Array) -> Array:
        """tanh(w_kᵀz + b_k), (N, K)."""
        return array_namespace(z).tanh(z @ self.w.T + self.b)

    def at(self, z: Array, h: Array) -> Array:
        """The images of z (N, d), given `ridges` h there."""
        x = z + h @ self.u
        if self.matrix is not None:
            x = x + z @ self.matrix.T
        return x if self.shift is None else x + self.shift

    def jacobian(self, h: Array) -> Array:
        """M = I + A + Σ_k h'_k u_k w_kᵀ, (N, d, d), with h' = 1 − h²."""
        K, d = self.u.shape
        pairs = (self.u[:, :, None] * self.w[:, None, :]).reshape((K, d * d))
        identity = like(np.eye(d), h)
        constant = identity if self.matrix is None else identity + self.matrix
        return constant + ((1 - h**2) @ pairs).reshape((-1, d, d))

    def push(self, backend: Backend, z: Array, score: Array | None) -> Image:
        """`Map.push`, with ∇_z log|det M| = Σ_k h''_k (w_kᵀM⁻¹u_k) w_k and h'' = −2 h h'."""
        xp, (K, d), h = backend.xp, self.u.shape, self.ridges(z)
        inverse, sign, log_det = backend.invert(self.jacobian(h))
        if score is not None:
            pairs = (self.w[:, :, None] * self.u[:, None, :]).reshape((K, d * d))
            bracket = inverse.reshape((-1, d * d)) @ pairs.T  # w_kᵀM⁻¹u_k, (N, K)
            pulled = score + (2 * h * (1 - h**2) * bracket) @ self.w
            score = xp.einsum("nij,ni->nj", inverse, pulled)
        return Image(self.at(z, h), sign, log_det, score)
