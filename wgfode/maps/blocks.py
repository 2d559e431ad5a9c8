"""One Khatri–Rao block of a tangent operator."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from ..arrays import like

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
        return self._pulled(w).T @ self.features

    def products(self, w: Array) -> Array:
        """B_nᵀ w_n φ_nᵀ of each point, (N, d) → (N, a, f)."""
        return self._pulled(w)[:, :, None] * self.features[:, None, :]

    def _pulled(self, w: Array) -> Array:
        """B_nᵀ w_n, (N, d) → (N, a)."""
        if self.matrix is None:
            inner = w
        elif self.matrix.ndim == 2:
            inner = w @ self.matrix
        else:
            inner = array_namespace(w).einsum("nda,nd->na", self.matrix, w)
        if self.scale is not None:
            inner = inner * self.scale
        return inner

    def lengths(self) -> Array:
        """|B_{n,·a}|², (N, a), or (1, a) where B is the same at all points."""
        xp = array_namespace(self.features)
        if self.matrix is None:
            lengths = like(np.ones((1, self.width)), self.features)
        else:
            lengths = xp.sum(self.matrix**2, axis=-2).reshape((-1, self.width))
        return lengths if self.scale is None else lengths * self.scale**2

    def columns(self, weights: Array) -> Array:
        """Σ_n weights_n |B_{n,·a}|² φ_nf², (a, f): of each column of J that is a P_af's own."""
        weighted = weights[:, None] * self.features**2
        lengths = self.lengths()
        if len(lengths) == 1:
            return lengths.T * array_namespace(weights).sum(weighted, axis=0)
        return lengths.T @ weighted
