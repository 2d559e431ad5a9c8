"""Reference densities λ: where the points z of a flow come from, and the density that the map pushes forward.

Each reference turns uniform numbers into samples by a fixed transport, so that random, quasi-random
and hand-made uniforms are treated alike. Densities and scores are written over the array namespace of
their argument: torch tensors, jax arrays (tracers too) and numpy arrays, of any real dtype, come back
as what they were. They take points `(..., d)`, so one row `(d,)` is as good as `(N, d)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import array_api_compat
import numpy as np
from numpy.typing import ArrayLike
from scipy import special
from scipy.stats import qmc

from ._barenblatt import Barenblatt
from ._reference import Reference, constant_like, finite, vector
from .errors import InputError, positive_int

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
            raise InputError(
                f"cov must be symmetric, but differs from its transpose by {asymmetry:.6g}; {tail}"
            )
        if least < -rounding:
            raise InputError(f"cov must be positive definite: {tail}")
        if not least > rounding:
            raise InputError(f"cov is singular, and the reference needs a density: {tail}")
        cov.setflags(write=False)
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "cov", cov)

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
        return self.from_normal(special.ndtri(self._uniforms(u)))

    def log_density(self, z: Array) -> Array:
        self._check(z)
        xp = array_api_compat.array_namespace(z)
        white = (z - constant_like(self.mean, z)) @ constant_like(self._inverse_root, z)
        return self._log_peak - 0.5 * xp.sum(white * white, axis=-1)

    def score(self, z: Array) -> Array:
        self._check(z)
        return -(z - constant_like(self.mean, z)) @ constant_like(self._precision, z)


@dataclass(frozen=True, eq=False)
class Uniform(Reference):
    """The uniform density on the closed box low <= z <= high, both (d,) (numbers where d = 1).

    Raises `InputError` where the shapes differ or a side has low >= high.
    """

    low: np.ndarray
    high: np.ndarray

    if TYPE_CHECKING:  # what is accepted, against what is kept

        def __init__(self, low: ArrayLike, high: ArrayLike) -> None: ...

    def __post_init__(self) -> None:
        low, high = vector("low", self.low), vector("high", self.high)
        if low.shape != high.shape:
            raise InputError(f"low and high must have the same shape, got {low.shape} and {high.shape}")
        if not np.all(low < high):
            side = int(np.argmin(high - low))
            raise InputError(f"low must be < high, got low[{side}]={low[side]} and high[{side}]={high[side]}")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @property
    def dim(self) -> int:  # type: ignore[override]
        """The dimension d."""
        return self.low.size

    @property
    def mean(self) -> np.ndarray:  # type: ignore[override]
        return (self.low + self.high) / 2

    @property
    def covariance(self) -> np.ndarray:  # type: ignore[override]
        return np.diag((self.high - self.low) ** 2 / 12)

    def from_uniform(self, u: np.ndarray) -> np.ndarray:
        return self.low + (self.high - self.low) * self._uniforms(u)

    def log_density(self, z: Array) -> Array:
        self._check(z)
        xp = array_api_compat.array_namespace(z)
        low, high = constant_like(self.low, z), constant_like(self.high, z)
        inside = xp.all((z >= low) & (z <= high), axis=-1)
        height = -float(np.sum(np.log(self.high - self.low)))
        return xp.where(inside, constant_like(height, z), constant_like(-math.inf, z))

    def score(self, z: Array) -> Array:
        self._check(z)
        return array_api_compat.array_namespace(z).zeros_like(z)


@dataclass(frozen=True, eq=False, init=False)
class Custom(Reference):
    """A density given by functions.

    `from_uniform` maps uniforms (N, d), numpy, to samples (N, d); `log_density` maps points (N, d) of
    whichever array type reaches it to (N,); `score`, optional, to (N, d). Without it `score(z)` is
    None, which says: differentiate `log_density`. The mean and covariance are estimates from 2^14
    quasi-random points.

    Raises `InputError` where dim < 1, an argument is not a function, or the samples are not finite
    numbers of shape (N, d).
    """

    dim: int
    _from_uniform: Callable[[np.ndarray], np.ndarray]
    _log_density: Callable[[Array], Array]
    _score: Callable[[Array], Array] | None

    def __init__(
        self,
        dim: int,
        from_uniform: Callable[[np.ndarray], np.ndarray],
        log_density: Callable[[Array], Array],
        score: Callable[[Array], Array] | None = None,
    ):
        functions = {"from_uniform": from_uniform, "log_density": log_density, "score": score}
        for name, function in functions.items():
            if not callable(function) and not (name == "score" and function is None):
                raise InputError(f"{name} must be a function, got {function!r}")
            object.__setattr__(self, f"_{name}", function)
        object.__setattr__(self, "dim", positive_int("dim", dim))

    def from_uniform(self, u: np.ndarray) -> np.ndarray:
        u = self._uniforms(u)
        z = finite("the result of from_uniform", self._from_uniform(u))
        if z.shape != u.shape:
            raise InputError(f"from_uniform must return shape {u.shape}, as it got, but returned {z.shape}")
        return z

    def log_density(self, z: Array) -> Array:
        self._check(z)
        return self._log_density(z)

    def score(self, z: Array) -> Array | None:
        self._check(z)
        return None if self._score is None else self._score(z)

    @cached_property
    def _sample(self) -> np.ndarray:
        uniforms = qmc.Sobol(self.dim, bits=52, rng=np.random.default_rng(0)).random_base2(14)
        return self.from_uniform(uniforms)

    @property
    def mean(self) -> np.ndarray:  # type: ignore[override]
        return self._sample.mean(axis=0)

    @property
    def covariance(self) -> np.ndarray:  # type: ignore[override]
        return np.cov(self._sample, rowvar=False, bias=True).reshape(self.dim, self.dim)


__all__ = ["Barenblatt", "Custom", "Gaussian", "Reference", "Uniform"]
