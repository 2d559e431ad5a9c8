"""The uniform density on a box."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import array_api_compat
import numpy as np
from numpy.typing import ArrayLike

from ..errors import InputError, settle
from .base import Reference, constant_like, vector

Array = Any


@dataclass(frozen=True, eq=False)
class Uniform(Reference):
    """The uniform density on the closed box low <= z <= high, both (d,) (numbers where d = 1).

    It jumps at its sides, which an internal energy sees as a force that no point meets: such a flow starts from
    `Smoothed(Uniform(low, high), width)`.

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
        settle(self, low=low, high=high)

    @property
    def dim(self) -> int:  # type: ignore[override]
        """The dimension d."""
        return self.low.size

    @property
    def sides(self) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[override]
        return self.low, self.high

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
