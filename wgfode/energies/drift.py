"""Transport along a velocity b that need not be a gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..checks import Trial
from ..errors import InputError, real, shown
from ..functions import Given
from ..pushforward import Pushed
from .base import Term, scaled_modulus

Array = Any


@dataclass(frozen=True)
class Drift(Term):
    """∂ρ/∂t = −∇·(ρ b). `b` maps points (N, d) to velocities (N, d), is given `t` and `args` where it names
    them, and adds −b to g.

    `Drift(b) + Diffusion(D)` is the Fokker–Planck equation of dx = b dt + √(2D) dW. A drift has no energy, so that
    none of it is in the dataset's `energy`, and estimator="energy" does not know it.

    `monotonicity` is a λ with (b(x) − b(y))·(x − y) ≤ −λ|x − y|² for all x, y, where one is known: −λ is the largest
    eigenvalue of b's symmetrized Jacobian anywhere. Two solutions that are driven by the same noise then contract
    at the rate λ, and λ serves the certificate as a convexity does; for b = −∇V it is that of V.
    """

    b: Callable[..., Array]
    monotonicity: float | None = None
    name = "drift"
    has_energy = False

    def __post_init__(self) -> None:
        if not callable(self.b):
            raise InputError(f"b must be a function from points (N, d) to velocities (N, d), got {shown(self.b)}")
        if self.monotonicity is not None:
            real("monotonicity", self.monotonicity)

    def modulus_times(self, coefficient: float) -> float | None:
        return scaled_modulus(coefficient, self.monotonicity)

    @cached_property
    def _given(self) -> Given:
        return Given(self.b)

    @property
    def functions(self) -> tuple[Given, ...]:
        return (self._given,)

    def at(self, t: float, args: Any = None) -> Drift:
        return replace(self, b=self._given.at(t, args)) if self._given.names else self

    def try_functions(self, trial: Trial) -> None:
        if trial.can(self._given):
            trial.velocity("b", self._given.at(trial.t, trial.args), trial.points)

    def gradient(self, rho: Pushed) -> Array:
        return -self._given.at(rho.t, rho.args)(rho.x)
