"""References made of the distribution objects of torch, numpyro, flowjax and scipy.stats."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from array_api_compat import is_jax_array, is_numpy_array, is_torch_array

from ..backend import Backend, load, precision
from ..errors import InputError, shown
from .base import Reference
from .custom import Custom
from .gaussian import Gaussian
from .scipy import from_scipy, is_frozen

Array = Any

FRAMEWORKS = {"torch": "torch", "zuko": "torch", "numpyro": "jax", "flowjax": "jax"}
"""The framework of each library's distributions."""
INTEGRATOR = {"torch": "torchdiffeq", "jax": "diffrax"}


def from_distribution(distribution: Any) -> Reference:
    """A distribution of torch, numpyro, flowjax, zuko or scipy.stats as a reference.

    A multivariate normal becomes `Gaussian`. Of a distribution over vectors (d,), or of d independent numbers, points
    are made from uniforms by its own quantiles and transforms; where it has none (a mixture, a gamma of torch) they
    are independent draws, whatever rule `points` follows. Such a reference runs on the framework of its distribution;
    those of scipy.stats, one or d independent numbers, on both. A trained normalising flow may also be the map itself
    (docs/models.md, start="given").

    Raises `InputError` for another object, a distribution of whole numbers or of matrices, or a conditional one.
    """
    if is_frozen(distribution):
        return from_scipy(distribution)
    roots = [kind.__module__.partition(".")[0] for kind in type(distribution).__mro__]
    framework = next((FRAMEWORKS[root] for root in roots if root in FRAMEWORKS), None)
    if framework is None or not hasattr(distribution, "log_prob"):
        made = "; it is a class: hand over what it makes" if isinstance(distribution, type) else ""
        raise InputError(
            "distribution must be one of torch.distributions, numpyro, flowjax, zuko or a frozen one of scipy.stats, "
            f"got {shown(distribution)}{made}. Samples and a density of your own are wgf.Custom(dim, from_uniform, "
            "log_density)"
        )
    law = Law(distribution, framework, _dimension(distribution))
    if hasattr(distribution, "covariance_matrix"):
        return Gaussian(law.numbers(distribution.mean), law.numbers(distribution.covariance_matrix))
    law.check()
    return Custom(law.dim, law.from_uniform, law.log_density)


def _dimension(distribution: Any) -> int:
    """d of a distribution over vectors (d,), or of d numbers side by side."""
    if getattr(distribution, "cond_shape", None) is not None:
        raise InputError(f"distribution {shown(distribution)} needs a condition: hand over one without")
    event = getattr(distribution, "event_shape", getattr(distribution, "shape", None))
    shape = (*getattr(distribution, "batch_shape", ()), *(event or ()))
    if len(shape) > 1:
        raise InputError(f"distribution must be over vectors (d,), got one of shape {shape}: {shown(distribution)}")
    discrete = False
    with contextlib.suppress(NotImplementedError):  # those of zuko's flows say nothing of it
        discrete = getattr(getattr(distribution, "support", None), "is_discrete", False)
    if discrete:
        raise InputError(f"distribution must have a density, got one of whole numbers: {shown(distribution)}")
    return int(shape[0]) if shape else 1


@dataclass(frozen=True)
class Law:
    """A framework's distribution over (d,) as functions of uniforms (N, d) and of points (N, d)."""

    distribution: Any
    framework: str
    dim: int

    def check(self) -> None:
        """Raise `InputError` where the log density fails on float64 points."""
        try:
            self.log_density(np.full((2, self.dim), 0.5))
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            raise InputError(
                f"distribution {self!r} failed on points of float64, of which a run's are: {reason}. Bring the module "
                "that made it to double precision, module.double()"
            ) from error

    def numbers(self, array: Array) -> np.ndarray:
        """A parameter of the distribution as float64."""
        return np.asarray(array.detach().cpu() if hasattr(array, "detach") else array, dtype=float)

    def from_uniform(self, u: np.ndarray) -> np.ndarray:
        """Points (N, d) of uniforms (N, d), both numpy."""
        with precision(self.framework, "float64"):
            backend = load(self.framework)
            made = _transported(self.distribution, backend, backend.asarray(u))
            if made is None:  # the same uniforms give the same draws
                seed = int.from_bytes(hashlib.sha256(u.tobytes()).digest()[:4])
                made = backend.draw(self.distribution.sample, len(u), seed)
            return self.numbers(made).reshape(u.shape)

    def log_density(self, z: Array) -> Array:
        """log λ at points, (..., d) → (...), arrays of numpy or of the distribution's framework."""
        if is_numpy_array(z):
            with precision(self.framework, "float64"):
                return self.numbers(self.log_density(load(self.framework).asarray(z)))
        if not (is_torch_array if self.framework == "torch" else is_jax_array)(z):
            raise InputError(
                f"the reference's distribution is of {self.framework}: run it with "
                f"integrator={INTEGRATOR[self.framework]!r}"
            )
        one = not (getattr(self.distribution, "event_shape", None) or getattr(self.distribution, "shape", None))
        single = one and not getattr(self.distribution, "batch_shape", ())  # a number, no vector
        found = self.distribution.log_prob(z[..., 0] if single else z)
        found = found.sum(-1) if one and not single else found
        return found.to(z.dtype) if self.framework == "torch" else found.astype(z.dtype)

    def __repr__(self) -> str:
        return shown(self.distribution)


def _transported(distribution: Any, backend: Backend, u: Array) -> Array | None:
    """Points (N, d) by the distribution's own quantiles and transforms; None where it has none."""
    steps: list[Callable[[Array], Array]] = []
    while (inner := getattr(distribution, "base_dist", getattr(distribution, "base", None))) is not None:
        if hasattr(distribution, "bijection"):  # flowjax
            steps.append(backend.vmap(distribution.bijection.transform))
        elif hasattr(distribution, "transform"):  # zuko, from samples to the base
            steps.append(distribution.transform.inv)
        else:
            steps += list(getattr(distribution, "transforms", ()))[::-1]
        distribution = inner
    try:
        if type(distribution).__name__ == "StandardNormal":  # flowjax's base has no quantiles of its own
            z = backend.asarray(scipy.special.ndtri(backend.to_numpy(u)))
        elif (quantiles := getattr(distribution, "icdf", None)) is not None:
            z = quantiles(u)
        else:
            return None
    except (NotImplementedError, ImportError):  # numpyro has some by tensorflow_probability alone
        return None
    for step in steps[::-1]:
        z = step(z)
    return z
