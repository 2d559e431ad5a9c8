"""A neural ODE as a map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import positive_int
from .base import Map
from .residual import Residual

Array = Any


@dataclass(frozen=True)
class NeuralODE(Map):
    """T = the time-one flow of ẋ = Σ_k u_k tanh(w_kᵀx + b_k), by `steps` steps of the classical Runge–Kutta method.

    θ and its start are those of `Residual(dim, width)`: u = 0 is the identity. Unlike `Residual`, the
    map is injective for every θ, up to the Runge–Kutta error. (Chen et al. 2018.)
    """

    dim: int
    width: int
    steps: int = 8
    init: str = "random"
    scale: float = 1.0
    centre: float | Sequence[float] = 0.0
    spread: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        positive_int("steps", self.steps)
        layer = Residual(self.dim, self.width, self.init, self.scale, self.centre, self.spread, self.seed)
        object.__setattr__(self, "_layer", layer)

    @property
    def size(self) -> int:
        return self._layer.size  # type: ignore[attr-defined]

    def initial(self) -> np.ndarray:
        return self._layer.initial()  # type: ignore[attr-defined]

    def __call__(self, theta: Array, z: Array) -> Array:
        layer: Residual = self._layer  # type: ignore[attr-defined]

        def velocity(x: Array) -> Array:
            return layer(theta, x) - x

        h = 1.0 / self.steps
        for _ in range(self.steps):
            k1 = velocity(z)
            k2 = velocity(z + 0.5 * h * k1)
            k3 = velocity(z + 0.5 * h * k2)
            k4 = velocity(z + h * k3)
            z = z + (h / 6) * (k1 + 2 * k2 + 2 * k3 + k4)
        return z
