"""The normal density."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import array_api_compat
import numpy as np
import scipy
from numpy.typing import ArrayLike

from ..errors import InputError, positive_int, settle
from .base import Reference, constant_like, finite, vector

Array = Any


@dataclass(frozen=True, eq=False)
class Gaussian(Reference):
    """The normal density with mean (d,) and covariance `cov` (d, d), sampled by the symmetric root of `cov`.

    Raises `InputError` where shapes disagree, where `cov` is not symmetric (to 1e-10 of its largest
    entry), indefinite, or singular to rounding: the flow needs a reference with a density.
    """

    mean: np.ndarray
    cov: np.ndarray

    if TYPE_CHECKING:  # what is accepted, against what is kept

        def __init__(self, mean: ArrayLike, cov: ArrayLike) -> None: ...

    def __post_init__(self) -> None:
        mean, cov = vector("mean", self.mean), np.array(finite("cov", self.cov), ndmin=2)
        if cov.shape != (mean.size, mean.size):
            raise InputError(f"cov must have shape {(mean.size, mean.size)}, like the mean, got {cov.shape}")
        # halved first, since sums and differences of large numbers may overflow
        asymmetry = 2 * float(np.abs(cov / 2 - cov.T / 2).max())
        cov = cov / 2 + cov.T / 2
        eigenvalues = np.linalg.eigvalsh(cov)
        least, rounding = eigenvalues[0], mean.size * np.finfo(float).eps * np.abs(eigenvalues).max()
        tail = f"the smallest eigenvalue of its symmetric part is {least:.6g}"
        if asymmetry > 1e-10 * np.abs(cov).max():
            raise InputError(f"cov must be symmetric, but differs from its transpose by {asymmetry:.6g}; {tail}")
        if least < -rounding:
            raise InputError(f"cov must be positive definite: {tail}")
        if not least > rounding:
            raise InputError(f"cov is singular, and the reference needs a density: {tail}")
        cov.setflags(write=False)
        settle(self, mean=mean, cov=cov)

    @classmethod
    def standard(cls, dim: int) -> Gaussian:
        """Mean 0 and covariance 1 in `dim` dimensions."""
        dim = positive_int("dim", dim)
        return cls(np.zeros(dim), np.eye(dim))

    @property
    def dim(self) -> int:  # type: ignore[override]
        """The dimension d."""
        return self.mean.size

    @property
    def covariance(self) -> np.ndarray:  # type: ignore[override]
        return self.cov

    @cached_property
    def _spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        return np.linalg.eigh(self.cov)

    def _power(self, exponent: float) -> np.ndarray:
        values, vectors = self._spectrum
        return (vectors * values**exponent) @ vectors.T

    @cached_property
    def _root(self) -> np.ndarray:
        return self._power(0.5)

    @cached_property
    def _inverse_root(self) -> np.ndarray:
        return self._power(-0.5)

    @cached_property
    def _precision(self) -> np.ndarray:
        return self._power(-1.0)

    @cached_property
    def _log_peak(self) -> float:
        return -0.5 * float(np.sum(np.log(2 * math.pi * self._spectrum[0])))

    def from_normal(self, y: np.ndarray) -> np.ndarray:
        """Samples (N, d) from standard normal y (N, d): mean + cov^½ y."""
        return self.mean + y @ self._root

    def from_uniform(self, u: np.ndarray) -> np.ndarray:
        return self.from_normal(scipy.special.ndtri(self._uniforms(u)))

    def log_density(self, z: Array) -> Array:
        self._check(z)
        xp = array_api_compat.array_namespace(z)
        white = (z - constant_like(self.mean, z)) @ constant_like(self._inverse_root, z)
        return self._log_peak - 0.5 * xp.sum(white * white, axis=-1)

    def score(self, z: Array) -> Array:
        self._check(z)
        return -(z - constant_like(self.mean, z)) @ constant_like(self._precision, z)
