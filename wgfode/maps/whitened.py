"""Maps on whitened coordinates, so that θ and the metric are the same in whatever units and about whatever origin.

With c and Σ = AAᵀ the mean and the covariance of the reference, a map M_θ of the user becomes

    T_θ(z) = c + A M_θ(ẑ) = z + A (M_θ(ẑ) − ẑ),     ẑ = A⁻¹(z − c)

A is lower triangular: a triangular map stays triangular, and where Σ is diagonal every coordinate stays itself.
Under z ↦ c' + s Q z with a number s and a rotation Q, ẑ is at most rotated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..arrays import like
from ..backend.protocol import Backend
from ..errors import InputError
from .base import Image, Map
from .factors import Factors, product
from .frame import Frame

Array = Any


@dataclass(frozen=True)
class Whitened(Map):
    """T_θ(z) = z + A (M_θ(ẑ) − ẑ) for the map M = `map` of whitened points; exactly z where M_θ(ẑ) is exactly ẑ.

    Raises `InputError` where `frame` has another dimension.
    """

    map: Map
    frame: Frame

    def __post_init__(self) -> None:
        if not isinstance(self.map, Map):
            raise InputError(f"map must be a wgfode Map, got {self.map!r}")
        if not isinstance(self.frame, Frame) or self.frame.centre.shape != (self.map.dim,):
            raise InputError(f"frame must be a Frame of {self.map.dim} dimensions, like map, got {self.frame!r}")

    @property
    def dim(self) -> int:  # type: ignore[override]
        return self.map.dim

    @property
    def size(self) -> int:
        return self.map.size

    @property
    def has_density(self) -> bool:  # type: ignore[override]
        return self.map.has_density

    @property
    def framework(self) -> str | None:  # type: ignore[override]
        return self.map.framework

    @property
    def shift(self) -> float | None:  # type: ignore[override]
        return self.map.shift

    @property
    def constant_tangent(self) -> bool:  # type: ignore[override]
        return self.map.constant_tangent

    @property
    def has_divergences(self) -> bool:  # type: ignore[override]
        return self.map.has_divergences

    def divergences(self, backend: Backend, theta: Array, z: Array, against: Array) -> Array:
        """Those of M: a field A q(ẑ) has ∂_z(Aq) = A ∂_ẑq A⁻¹."""
        inside = like(self.frame.inverse, z) @ against @ like(self.frame.root, z)
        return self.map.divergences(backend, theta, self.frame.whiten(z), inside)

    @property
    def moves(self) -> np.ndarray:
        return self.map.moves

    @cached_property
    def sizes(self) -> np.ndarray | float:
        """The lengths of A's columns, over their root mean square; 1 for what moves several components."""
        lengths = np.linalg.norm(self.frame.root, axis=0) / self.frame.scale
        if np.allclose(lengths, 1.0, rtol=1e-12):
            return 1.0
        moves = self.map.moves
        return np.where(moves < 0, 1.0, lengths[moves])

    def over(self, z: np.ndarray, weights: np.ndarray) -> Map:
        return replace(self, map=self.map.over(self.frame.whiten(z), weights))

    def initial(self) -> np.ndarray:
        return self.map.initial()

    def __call__(self, theta: Array, z: Array) -> Array:
        y = self.frame.whiten(z)
        return z + self.frame.displacement(self.map(theta, y) - y)

    def push(self, backend: Backend, theta: Array, z: Array, score: Array | None = None) -> Image:
        """det ∂_zT = det ∂M, and ∇log ρ in whitened coordinates is Aᵀ∇log ρ."""
        y, root, inverse = self.frame.whiten(z), like(self.frame.root, z), like(self.frame.inverse, z)
        image = self.map.push(backend, theta, y, None if score is None else score @ root)
        moved = z + (image.x - y) @ root.T
        return Image(moved, image.sign, image.log_det, None if image.score is None else image.score @ inverse)

    def factors(self, backend: Backend, theta: Array, z: Array, outer: Array | None = None) -> Factors | None:
        """Those of M at ẑ, with A behind it."""
        root, inverse = like(self.frame.root, z), like(self.frame.inverse, z)
        factors = self.map.factors(backend, theta, self.frame.whiten(z), product(outer, root))
        return None if factors is None else replace(factors, through=lambda: product(factors.through(), inverse))
