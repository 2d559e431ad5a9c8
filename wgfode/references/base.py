"""What every reference density shares; the references themselves are in `references`."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from ..arrays import like
from ..errors import InputError, shown

Array = Any

EDGE = 2.0**-53
"""Uniform numbers are kept this far from 0 and 1, where quantiles are infinite."""


def constant_like(value: Any, z: Array) -> Array:
    """`value` (numpy or a number) as an array of z's framework, dtype and device."""
    return like(np.array(value), z)  # a copy: torch would share, and complain about, read-only memory


def vector(name: str, value: Any) -> np.ndarray:
    """`value` as a finite, read-only float64 array (d,), d >= 1; a number counts as d = 1."""
    array = np.atleast_1d(finite(name, value))
    if array.ndim != 1 or array.size == 0:
        raise InputError(f"{name} must have shape (d,) with d >= 1, got shape {array.shape}")
    array.setflags(write=False)
    return array


def finite(name: str, value: Any) -> np.ndarray:
    """`value` as a new float64 array, else an `InputError` that names it."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be an array of numbers, got {shown(value)}") from None
    if not np.all(np.isfinite(array)):
        raise InputError(f"{name} must be finite, got {shown(array)}")
    return array


class Reference:
    """A probability density λ on R^d that can be sampled by transporting uniforms.

    Equal data make equal references (and equal hashes).
    """

    dim: int
    mean: np.ndarray
    """The mean, (d,)."""
    covariance: np.ndarray
    """The covariance, (d, d)."""
    has_density: bool = True
    layers: tuple = ()
    """The maps that have carried the points of `origin` here, innermost first (`references.carried`)."""
    sides: tuple[np.ndarray, np.ndarray] | None = None
    """The corners `low` and `high`, (d,) each, of the box on which the density is constant; None for any other."""

    @property
    def origin(self) -> Reference:
        """The density that rules of points draw from: itself, but for one that maps have carried."""
        return self

    def from_uniform(self, u: np.ndarray) -> np.ndarray:
        """Samples (N, d), float64, from uniforms u (N, d) in (0, 1); the same u give the same samples.

        Raises `InputError` where u has another shape, or numbers outside [0, 1]; exact 0 and 1 are
        moved inside by 2^-53.
        """
        raise NotImplementedError

    def log_density(self, z: Array) -> Array:
        """log λ at z, (..., d) → (...); −inf outside the support."""
        raise NotImplementedError

    def score(self, z: Array) -> Array | None:
        """∇log λ at z, (..., d) → (..., d); 0 outside the support. None: differentiate `log_density`."""
        raise NotImplementedError

    def _uniforms(self, u: np.ndarray) -> np.ndarray:
        u = finite("u", u)
        if u.ndim != 2 or u.shape[1] != self.dim:
            raise InputError(f"u must have shape (N, {self.dim}), got {u.shape}")
        if u.size and (u.min() < 0 or u.max() > 1):
            raise InputError(f"u must lie in (0, 1), got numbers in [{u.min()}, {u.max()}]")
        return np.clip(u, EDGE, 1 - EDGE)

    def _check(self, z: Array) -> None:
        if len(z.shape) == 0 or z.shape[-1] != self.dim:
            raise InputError(f"z must have shape (N, {self.dim}), got {tuple(z.shape)}")

    def _key(self) -> tuple:
        values = (getattr(self, f.name) for f in fields(self))  # type: ignore[arg-type]
        return (type(self), *(v.tobytes() if isinstance(v, np.ndarray) else v for v in values))

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Reference) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())
