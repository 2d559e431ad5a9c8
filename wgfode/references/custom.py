"""A density given by functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy

from ..errors import InputError, positive_int, settle, shown
from .base import Reference, finite

Array = Any


@dataclass(frozen=True, eq=False, init=False)
class Custom(Reference):
    """A density given by functions.

    `from_uniform` maps uniforms (N, d), numpy, to samples (N, d); `log_density` maps points (N, d) of
    whichever array type reaches it to (N,); `score`, optional, to (N, d). Without it `score(z)` is
    None, which says: differentiate `log_density`. `log_density` may be left out too, where no internal energy acts and
    samples are all that a flow needs. The log density must be that of the samples and have no jump:
    `GradientFlow` tests it where the energy needs it (`references.stein`). The mean and covariance are estimates
    from 2^14 quasi-random points.

    Raises `InputError` where dim < 1, an argument is not a function, a score comes without a log density, or the
    samples are not finite numbers of shape (N, d).
    """

    dim: int
    _from_uniform: Callable[[np.ndarray], np.ndarray]
    _log_density: Callable[[Array], Array] | None
    _score: Callable[[Array], Array] | None

    def __init__(
        self,
        dim: int,
        from_uniform: Callable[[np.ndarray], np.ndarray],
        log_density: Callable[[Array], Array] | None = None,
        score: Callable[[Array], Array] | None = None,
    ):
        functions = {"from_uniform": from_uniform, "log_density": log_density, "score": score}
        for name, function in functions.items():
            if not callable(function) and not (name != "from_uniform" and function is None):
                raise InputError(f"{name} must be a function, got {shown(function)}")
            settle(self, **{f"_{name}": function})
        if log_density is None and score is not None:
            raise InputError("score needs log_density beside it: a flow that needs the one needs the other")
        settle(self, dim=positive_int("dim", dim))

    @property
    def has_density(self) -> bool:  # type: ignore[override]
        """Whether a log density was given."""
        return self._log_density is not None

    def from_uniform(self, u: np.ndarray) -> np.ndarray:
        u = self._uniforms(u)
        z = finite("the result of from_uniform", self._from_uniform(u))
        if z.shape != u.shape:
            raise InputError(f"from_uniform must return shape {u.shape}, as it got, but returned {z.shape}")
        return z

    def log_density(self, z: Array) -> Array:
        self._check(z)
        if self._log_density is None:
            raise InputError("this reference has samples alone: give log_density to Custom, (N, d) to (N,)")
        return self._log_density(z)

    def score(self, z: Array) -> Array | None:
        self._check(z)
        return None if self._score is None else self._score(z)

    @cached_property
    def _sample(self) -> np.ndarray:
        uniforms = scipy.stats.qmc.Sobol(self.dim, bits=52, rng=np.random.default_rng(0)).random_base2(14)
        return self.from_uniform(uniforms)

    @property
    def mean(self) -> np.ndarray:  # type: ignore[override]
        return self._sample.mean(axis=0)

    @property
    def covariance(self) -> np.ndarray:  # type: ignore[override]
        return np.cov(self._sample, rowvar=False, bias=True).reshape(self.dim, self.dim)
