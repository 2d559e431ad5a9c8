"""Whitened coordinates of a density, in which it has mean 0 and covariance 1."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..arrays import like
from ..errors import InputError

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

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Frame):
            return NotImplemented
        return np.array_equal(self.centre, other.centre) and np.array_equal(self.root, other.root)

    def __hash__(self) -> int:
        return hash((self.centre.tobytes(), self.root.tobytes()))

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


@dataclass(frozen=True, eq=False)
class Carried:
    """A field of the points, (N, d) → (N, d), as one of their whitened coordinates."""

    field: Any
    frame: Frame

    def __call__(self, y: Array) -> Array:
        return self.field(self.frame.point(y)) @ like(self.frame.inverse.T, y)
