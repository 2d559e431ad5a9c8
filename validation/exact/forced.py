"""A linear drift towards a target that moves on an ellipse: `LinearDrift` with another mean, in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...errors import real, settle
from .linear import LinearDrift
from .solution import Array, time, vector


@dataclass(frozen=True, eq=False)
class Forced(LinearDrift):
    """dx = −B(x − β(t))dt + √(2D)dW, β(t) = μ + p cos ωt + q sin ωt, from N(m₀, C₀).

    The mean is m(t) = s(t) + e^(−Bt)(m₀ − s(0)) about the oscillation s(t) = μ + a cos ωt + b sin ωt, where
    Ba + ωb = Bp and Bb − ωa = Bq. The covariance is that of the target at rest.

    `cosine` p and `sine` q (d,), `frequency` ω, the rest as in `LinearDrift`. Raises `InputError` for other shapes.
    """

    cosine: Any
    sine: Any
    frequency: float

    def __post_init__(self) -> None:
        super().__post_init__()
        settle(
            self, cosine=vector("cosine", self.cosine, self.dim), sine=vector("sine", self.sine, self.dim),
            frequency=real("frequency", self.frequency),
        )  # fmt: skip

    @cached_property
    def _oscillation(self) -> tuple[Array, Array]:
        """a and b, (d,) each."""
        B, turn = self.matrix, self.frequency * np.eye(self.dim)
        found = np.linalg.solve(
            np.block([[B, turn], [-turn, B]]), np.concatenate([B @ self.cosine, B @ self.sine])
        )  # fmt: skip
        return found[: self.dim], found[self.dim :]

    def _target(self, t: float) -> Array:
        a, b = self._oscillation
        return self.mean_target + np.cos(self.frequency * t) * a + np.sin(self.frequency * t) * b

    def mean(self, t: float) -> Array:
        return self._target(time(t)) + self._moments(t)[0] @ (self.mean0 - self._target(0.0))
