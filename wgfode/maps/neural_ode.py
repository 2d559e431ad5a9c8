"""A neural ODE as a map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import positive_int, settle
from .residual import Residual
from .ridges import Ridges

Array = Any


@dataclass(frozen=True, repr=False)
class NeuralODE(Ridges):
    """T = the time-one flow of ẋ = Σ_k u_k tanh(w_kᵀx + b_k), by `steps` steps of the classical Runge–Kutta method.

    θ and its start are those of `Residual(dim, width)`: u = 0 is the identity. Unlike `Residual`, the
    map is injective for every θ, up to the Runge–Kutta error. (Chen et al. 2018.)
    """

    width: int
    steps: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        settle(self, width=positive_int("width", self.width), steps=positive_int("steps", self.steps))

    @cached_property
    def _layer(self) -> Residual:
        """The field, as the displacement of a residual map."""
        laid = {name: getattr(self, name) for name in ("init", "scale", "centre", "spread", "seed")}
        return Residual(self.dim, self.width, **laid)

    @property
    def size(self) -> int:
        return self._layer.size

    def initial(self) -> np.ndarray:
        return self._layer.initial()

    @property
    def moves(self) -> np.ndarray:
        return self._layer.moves

    def __call__(self, theta: Array, z: Array) -> Array:
        def velocity(x: Array) -> Array:
            return self._layer(theta, x) - x

        h = 1.0 / self.steps
        for _ in range(self.steps):
            k1 = velocity(z)
            k2 = velocity(z + 0.5 * h * k1)
            k3 = velocity(z + 0.5 * h * k2)
            k4 = velocity(z + h * k3)
            z = z + (h / 6) * (k1 + 2 * k2 + 2 * k3 + k4)
        return z
