"""Frozen distributions of scipy.stats as references, with log densities that both frameworks differentiate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import array_api_compat
import numpy as np
import scipy

from ..arrays import like
from ..errors import InputError
from .base import Reference
from .custom import Custom
from .gaussian import Gaussian
from .uniform import Uniform

Array = Any

FORMULAS: dict[str, Callable[..., Array]] = {
    "norm": lambda xp, y: -(y**2) / 2,
    "t": lambda xp, y, df: -(df + 1) / 2 * xp.log1p(y**2 / df),
    "cauchy": lambda xp, y: -xp.log1p(y**2),
    "laplace": lambda xp, y: -xp.abs(y),
    "logistic": lambda xp, y: -xp.abs(y) - 2 * xp.log1p(xp.exp(-xp.abs(y))),
    "gumbel_r": lambda xp, y: -y - xp.exp(-y),
    "gumbel_l": lambda xp, y: y - xp.exp(y),
    "hypsecant": lambda xp, y: -xp.abs(y) - xp.log1p(xp.exp(-2 * xp.abs(y))),
    "expon": lambda xp, y: -y,
    "gamma": lambda xp, y, a: (a - 1) * xp.log(y) - y,
    "chi2": lambda xp, y, df: (df / 2 - 1) * xp.log(y) - y / 2,
    "weibull_min": lambda xp, y, c: (c - 1) * xp.log(y) - y**c,
    "lognorm": lambda xp, y, s: -xp.log(y) - xp.log(y) ** 2 / (2 * s**2),
    "beta": lambda xp, y, a, b: (a - 1) * xp.log(y) + (b - 1) * xp.log1p(-y),
}
"""Log densities up to a constant, of y = (x − loc)/scale and the shapes, by scipy's names."""


def is_frozen(value: Any) -> bool:
    """Whether `value` is a frozen distribution of scipy.stats."""
    return type(value).__module__.startswith("scipy.stats.") and type(value).__name__.endswith("_frozen")


def from_scipy(frozen: Any) -> Reference:
    """See `references.from_distribution`: of one number, or of d independent ones where its parameters are (d,)."""
    if hasattr(frozen, "mean") and hasattr(frozen, "cov_object"):
        return Gaussian(frozen.mean, frozen.cov_object.covariance)
    name = getattr(getattr(frozen, "dist", None), "name", type(frozen).__name__)
    if name != "uniform" and name not in FORMULAS:
        raise InputError(
            f"the distribution {name!r} of scipy.stats is not known as a reference: {', '.join(sorted(FORMULAS))}, "
            "uniform and multivariate_normal are; of others give wgf.Custom(dim, from_uniform, log_density)"
        )
    names = [*(frozen.dist.shapes or "").replace(",", " ").split(), "loc", "scale"]
    given = {"loc": 0.0, "scale": 1.0} | dict(zip(names, frozen.args, strict=False)) | frozen.kwds
    parameters = [np.atleast_1d(np.asarray(given[key], float)) for key in names]
    try:
        *shapes, loc, scale = np.broadcast_arrays(*parameters)
    except ValueError as error:
        raise InputError(f"the parameters of {name} must be numbers or arrays (d,): {error}") from error
    if loc.ndim != 1:
        raise InputError(f"the parameters of {name} must be numbers or arrays (d,), got shape {loc.shape}")
    if name == "uniform":
        return Uniform(loc, loc + scale)
    if name == "norm":
        return Gaussian(loc, np.diag(scale**2))
    law = Product(name, loc, scale, tuple(shapes))
    return Custom(loc.size, law.from_uniform, law.log_density)


@dataclass(frozen=True, eq=False)
class Product:
    """d independent numbers of one law of scipy.stats, each with its own parameters (d,)."""

    name: str
    loc: np.ndarray
    scale: np.ndarray
    shapes: tuple[np.ndarray, ...]

    @cached_property
    def _law(self) -> Any:
        return getattr(scipy.stats, self.name)(*self.shapes, loc=self.loc, scale=self.scale)

    def from_uniform(self, u: np.ndarray) -> np.ndarray:
        """Points (N, d) of uniforms (N, d)."""
        return self._law.ppf(u)

    @cached_property
    def _median(self) -> np.ndarray:
        return np.asarray(self._law.median(), float)

    @cached_property
    def _constant(self) -> float:
        """The logarithm of what the formula leaves out, from scipy's own density at the median."""
        return float(self._law.logpdf(self._median).sum() - self._formula(self._median))

    def log_density(self, z: Array) -> Array:
        """log λ at points, (..., d) → (...), −inf outside the support."""
        xp = array_api_compat.array_namespace(z)
        low, high = (like(np.asarray(side, float), z) for side in self._law.support())
        inside = (z >= low) & (z <= high)
        found = self._formula(xp.where(inside, z, like(self._median, z)))  # no NaN, in derivatives either
        return xp.where(xp.all(inside, axis=-1), found + like(self._constant, z), like(-np.inf, z))

    def _formula(self, z: Array) -> Array:
        xp = array_api_compat.array_namespace(z)
        y = (z - like(self.loc, z)) / like(self.scale, z)
        return xp.sum(FORMULAS[self.name](xp, y, *(like(shape, z) for shape in self.shapes)), axis=-1)
