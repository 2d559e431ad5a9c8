"""The tangent operator J(θ) = ∂_θT_θ at N points."""

from __future__ import annotations

from typing import Any

from .backend.protocol import Backend
from .maps.base import Map

Array = Any

BLOCK = 2**25
"""Most numbers of J that are held at once where its rows are multiplied (256 MB in float64)."""
CACHED = 2**21
"""The same where its rows are only read once: what a cache holds is several times faster."""


class Tangent:
    """J(θ) at points z, (N·d) × m as an operator; it is formed only block by block.

    `x` = T_θ(z) comes with it, (N, d). With `sizes` (m,), ξ is measured in `Map.sizes`: J is then that of the
    parameters sizes · θ.
    """

    def __init__(self, backend: Backend, map: Map, theta: Array, z: Array, sizes: Array | float = 1.0):
        self.backend, self.map, self.theta, self.z, self.sizes = backend, map, theta, z, sizes
        self.x, self._jvp, self._vjp = backend.linearize(lambda parameters: map(parameters, z), theta)

    @property
    def size(self) -> int:
        """m."""
        return self.theta.shape[0]

    def apply(self, xi: Array) -> Array:
        """J ξ, (m,) → (N, d)."""
        return self._jvp(xi / self.sizes)

    def adjoint(self, w: Array) -> Array:
        """Jᵀ w, (N, d) → (m,)."""
        return self._vjp(w) / self.sizes

    def rows(self, z: Array) -> Array:
        """J at the rows of z, (B, d, m), by reverse mode in each row's d outputs."""

        def row(point: Array) -> Array:
            return self.backend.jacobian(lambda parameters: self.map(parameters, point[None])[0])(self.theta)

        return self.backend.vmap(row)(z) / self.sizes

    def gram(self, weights: Array) -> Array:
        """Σ_n weights_n J_nᵀJ_n, (m, m)."""
        (n, d), m = self.z.shape, self.size
        block = max(1, BLOCK // (d * m))
        total = 0.0
        for begin in range(0, n, block):
            J = self.rows(self.z[begin : begin + block])
            root = self.backend.xp.sqrt(weights[begin : begin + block])
            J = (root[:, None, None] * J).reshape(-1, m)
            total = total + J.T @ J
        return total

    def mean_diagonal(self, weights: Array) -> Array:
        """trace(Σ_n weights_n J_nᵀJ_n)/m, 0-dim and exact: it scales the solvers' shifts."""
        d, m = self.z.shape[1], self.size

        def squared(z: Array) -> Array:
            return self.backend.xp.sum(self.rows(z) ** 2, axis=(1, 2))

        return weights @ self.backend.by_rows(squared, self.z, max(1, CACHED // (d * m))) / m
