"""∫Vρ: drift down the gradient of V."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..checks import Trial
from ..errors import InputError, real, shown
from ..pushforward import Pushed
from .base import Term, scaled_modulus

Array = Any


@dataclass(frozen=True)
class Potential(Term):
    """∫Vρ. `V` maps points (N, d) to (N,). `convexity` is the λ of ∇²V ⪰ λI, where it is known."""

    V: Callable[[Array], Array]
    convexity: float | None = None
    name = "potential"

    def __post_init__(self) -> None:
        if not callable(self.V):
            raise InputError(f"V must be a function of points (N, d), got {shown(self.V)}")
        if self.convexity is not None:
            real("convexity", self.convexity)

    def modulus_times(self, coefficient: float) -> float | None:
        return scaled_modulus(coefficient, self.convexity)

    def try_functions(self, trial: Trial) -> None:
        trial.function("V", self.V, trial.points)

    def value(self, rho: Pushed) -> Array:
        return rho.mean(self.V(rho.x))

    def gradient(self, rho: Pushed) -> Array:
        sum_ = rho.backend.xp.sum
        return rho.backend.grad(lambda x: sum_(self.V(x)))(rho.x)
