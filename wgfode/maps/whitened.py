"""Maps on whitened coordinates, so that θ and the metric are the same in whatever units and about whatever origin.

With c and Σ = AAᵀ the mean and the covariance of the reference, a map M_θ of the user becomes

    T_θ(z) = c + A M_θ(ẑ) = z + A (M_θ(ẑ) − ẑ),     ẑ = A⁻¹(z − c)

A is lower triangular: a triangular map stays triangular, and where Σ is diagonal every coordinate stays itself.
Under z ↦ c' + s Q z with a number s and a rotation Q, ẑ is at most rotated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..arrays import like
from ..backend.protocol import Backend
from ..errors import InputError
from .base import Image, Map

Array = Any


@dataclass(frozen=True, eq=False)
class Frame:
    """The whitened coordinates ẑ = root⁻¹(z − centre) of a density: `centre` (d,), `root` (d, d) lower triangular."""

    centre: np.ndarray
    root: np.ndarray

    @classmethod
    def of(cls, mean: np.ndarray, covariance: np.ndarray) -> Frame:
        """The frame of a density's mean (d,) and covariance (d, d). A direction without extent counts as typical.

        Raises `InputError` where they are not finite.
        """
        mean, covariance = np.array(mean, dtype=float), np.array(covariance, dtype=float)
        if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
            raise InputError(f"reference must have a finite mean and covariance, got {mean!r} and {covariance!r}")
        variances = np.diagonal(covariance)
        typical = variances.mean() if (variances > 0).any() else 1.0
        deviations = np.sqrt(np.where(variances > 0, variances, typical))
        # of the correlations, so that sizes may differ by more than rounding allows in one matrix
        correlations = covariance / deviations / deviations[:, None]
        values, vectors = np.linalg.eigh(correlations)
        seen = values > len(values) * np.finfo(float).eps * values[-1]
        if not seen.all():
            correlations = (vectors * np.where(seen, values, 1.0)) @ vectors.T
        return cls(mean, np.linalg.cholesky(correlations) * deviations[:, None])

    @property
    def plain(self) -> bool:
        """Whether ẑ is z."""
        return not self.centre.any() and np.array_equal(self.root, np.eye(len(self.root)))

    @cached_property
    def inverse(self) -> np.ndarray:
        """root⁻¹, (d, d)."""
        deviations = np.linalg.norm(self.root, axis=1)
        return np.linalg.inv(self.root / deviations[:, None]) / deviations

    @cached_property
    def scale(self) -> float:
        """The root mean square of the standard deviations."""
        return float(np.sqrt((self.root**2).sum() / len(self.root)))

    def whiten(self, z: Array) -> Array:
        """ẑ of points z, (N, d) → (N, d)."""
        return (z - like(self.centre, z)) @ like(self.inverse.T, z)

    def point(self, y: Array) -> Array:
        """The points z of whitened ones, (N, d) → (N, d)."""
        return like(self.centre, y) + self.displacement(y)

    def displacement(self, y: Array) -> Array:
        """What a displacement of whitened points is to the points, (N, d) → (N, d)."""
        return y @ like(self.root.T, y)


@dataclass(frozen=True)
class Whitened(Map):
    """T_θ(z) = z + A (M_θ(ẑ) − ẑ) for the map M = `map` of whitened points; exactly z where M_θ(ẑ) is exactly ẑ."""

    map: Map
    frame: Frame

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


@dataclass(frozen=True, eq=False)
class Carried:
    """A field of the points, (N, d) → (N, d), as one of their whitened coordinates."""

    field: Any
    frame: Frame

    def __call__(self, y: Array) -> Array:
        return self.field(self.frame.point(y)) @ like(self.frame.inverse.T, y)
