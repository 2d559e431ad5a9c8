"""The tangent operator J(θ) = ∂_θT_θ at N points."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from .backend.protocol import Backend
from .kronecker import KroneckerBlock
from .maps.base import Map, space_jacobian
from .maps.factors import Factors
from .maps.moments import gram_factors

Array = Any

BLOCK = 2**25
"""Most numbers that are held at once where rows of J or tables of moments are multiplied (256 MB in float64)."""
PAIRED = 8
"""The most blocks whose moments are formed pair by pair: each pair is a program of its own to compile."""
CACHED = 2**21
"""The same where its rows are only read once: what a cache holds is several times faster."""


class Tangent:
    """J(θ) at points z, (N·d) × m as an operator; it is formed only block by block.

    Where the map knows its Khatri–Rao factors (`Map.factors`) they give everything; where it does not, automatic
    differentiation does. With `sizes` (m,), ξ is measured in `Map.sizes`: J is then that of the parameters sizes · θ.
    """

    def __init__(self, backend: Backend, map: Map, theta: Array, z: Array, sizes: np.ndarray | float = 1.0):
        self.backend, self.map, self.z = backend, map, z
        self.theta = backend.devices.shared(theta)
        self._known = sizes  # numpy: what is decided by it stands for every θ
        self.sizes: Array | float = sizes if isinstance(sizes, float) else backend.asarray(sizes)
        self.factors: Factors | None = map.factors(backend, self.theta, z)

    @property
    def size(self) -> int:
        """m."""
        return self.theta.shape[0]

    @cached_property
    def x(self) -> Array:
        """T_θ(z), (N, d)."""
        return self.map(self.theta, self.z)

    @cached_property
    def _products(self) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
        """ξ ↦ J ξ and w ↦ Jᵀ w."""
        if self.factors is not None:
            return self.factors.apply, self.factors.adjoint
        return self.backend.linearize(lambda parameters: self.map(parameters, self.z), self.theta)[1:]

    def apply(self, xi: Array) -> Array:
        """J ξ, (m,) → (N, d)."""
        return self._products[0](self.backend.devices.shared(xi / self.sizes))

    def adjoint(self, w: Array) -> Array:
        """Jᵀ w, (N, d) → (m,)."""
        return self.backend.devices.total(self._products[1](w)) / self.sizes

    def products(self, w: Array) -> Array:
        """J_nᵀw_n of each point, (N, d) → (N, m)."""
        if self.factors is not None:
            return self.factors.products(self.backend, w) / self.sizes
        return self.backend.xp.einsum("ndm,nd->nm", self.rows(self.z), w)

    def divergences(self, stress: Array) -> Array:
        """stress_n : ∂_x q of the field q of each parameter, (N, m), of a map that has them.

        `stress` is (N,), a multiple of the identity and so of the divergence, or one matrix (d, d).
        """
        backend = self.backend
        jacobian = self.factors.through() if self.factors is not None else None
        if jacobian is None:
            jacobian = space_jacobian(backend, lambda points: self.map(self.theta, points), self.z)
        inverse = backend.invert(backend.xp.zeros_like(self.z)[:, :, None] + jacobian)[0]
        against = inverse * stress[:, None, None] if stress.ndim == 1 else inverse @ stress.T
        return self.map.divergences(backend, self.theta, self.z, against) / self.sizes

    def rows(self, z: Array) -> Array:
        """J at the rows of z, (B, d, m), by reverse mode in each row's d outputs."""

        def row(point: Array) -> Array:
            return self.backend.jacobian(lambda parameters: self.map(parameters, point[None])[0])(self.theta)

        return self.backend.vmap(row)(z) / self.sizes

    def gram(self, weights: Array) -> Array:
        """Σ_n weights_n J_nᵀJ_n, (m, m): from moments of the factors where they are fewer products than rows of J."""
        d, m = self.z.shape[1], self.size
        factors = self.factors
        if factors is not None and len(factors.blocks) <= PAIRED and factors.work < d * m**2:
            return self._sum(self._gram_by_moments, weights, factors.tables)
        return self._sum(self._gram_by_rows, weights, d * m)

    def _gram_by_moments(self, z: Array, weights: Array) -> Array:
        factors = self.factors if len(z) == len(self.z) else self.map.factors(self.backend, self.theta, z)
        assert factors is not None
        gram = factors.gram(self.backend, weights)
        if isinstance(self.sizes, float):
            return gram
        return gram / self.sizes / self.sizes[:, None]

    def _gram_by_rows(self, z: Array, weights: Array) -> Array:
        J = (self.backend.xp.sqrt(weights)[:, None, None] * self.rows(z)).reshape(-1, self.size)
        return J.T @ J

    def _sum(self, gram: Callable[[Array, Array], Array], weights: Array, numbers: int) -> Array:
        """gram(z, weights) summed over blocks of points, where it holds `numbers` a point at once."""
        devices = self.backend.devices
        blocks = devices.blocks(max(1, BLOCK // numbers), self.z, weights)
        return devices.total(sum(gram(*block) for block in blocks))

    def separable(self, weights: Array) -> KroneckerBlock | None:
        """The first of the map's Khatri–Rao blocks whose part of the Gram matrix is a Kronecker product, or None."""
        factors, sizes = self.factors, self.sizes
        index = None if factors is None else factors.separable(self._known)
        if factors is None or index is None:
            return None
        block, places = factors.blocks[index], factors.places[index]
        assert places is not None
        xp, devices = self.backend.xp, self.backend.devices
        size = sizes * xp.ones_like(self.theta[places[:, 0]]) if isinstance(sizes, float) else sizes[places[:, 0]]
        left, right = gram_factors(xp, block, weights)
        found = np.full(self.size, places.size)
        found[places.reshape(-1)] = np.arange(places.size)
        return KroneckerBlock(
            left / size / size[:, None], devices.total(right),
            take=lambda xi: xi[places],
            put=lambda P: xp.concat([P.reshape(-1), xp.zeros_like(P[0, :1])])[found],
            apply=lambda P: block.apply(devices.shared(P / size[:, None])),
            adjoint=lambda w: devices.total(block.adjoint(w)) / size[:, None],
        )  # fmt: skip

    def kernel(self, weights: Array) -> Array:
        """√w J Jᵀ √w, (N·d, N·d): for fewer equations than parameters."""
        J = (self.backend.xp.sqrt(weights)[:, None, None] * self.rows(self.z)).reshape(-1, self.size)
        return J @ J.T

    def mean_diagonal(self, weights: Array) -> Array:
        """trace(Σ_n weights_n J_nᵀJ_n)/m, 0-dim and exact: it scales the solvers' shifts."""
        if self.factors is not None:
            columns = self.backend.devices.total(self.factors.columns(weights))
            return self.backend.xp.sum(columns / self.sizes**2) / self.size
        d, m = self.z.shape[1], self.size

        def squared(z: Array) -> Array:
            return self.backend.xp.sum(self.rows(z) ** 2, axis=(1, 2))

        lengths = self.backend.by_points(squared, self.z, max(1, CACHED // (d * m)))
        return self.backend.devices.total(weights @ lengths) / m
