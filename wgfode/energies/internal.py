"""∫U(ρ): linear and nonlinear diffusion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..checks import Trial
from ..errors import InputError, real
from ..pushforward import Pushed
from .base import Term

Array = Any


class Internal(Term):
    """∫U(ρ), through U(ρ)/ρ (whose mean it is) and ρU''(ρ) (the factor of ∇log ρ in g)."""

    pointwise = True

    def allow(self, coefficient: float) -> None:
        if not coefficient > 0:
            raise InputError(
                f"the coefficient of {self!r} must be > 0 (a backward diffusion is ill-posed), got {coefficient}"
            )

    def modulus_times(self, coefficient: float) -> float | None:
        return 0.0  # McCann (1997)

    def U(self, rho: Array) -> Array:
        """The energy density U(ρ), elementwise."""
        raise NotImplementedError

    def per_mass(self, rho: Pushed) -> Array:
        """U(ρ)/ρ at the points, (N,)."""
        raise NotImplementedError

    def diffusivity(self, rho: Pushed) -> Array:
        """ρU''(ρ) at the points, (N,), or a scalar."""
        raise NotImplementedError

    def value(self, rho: Pushed) -> Array:
        return rho.mean(self.per_mass(rho))

    def gradient(self, rho: Pushed) -> Array:
        return self.diffusivity(rho)[..., None] * rho.score


@dataclass(frozen=True)
class Entropy(Internal):
    """∫ρ log ρ: linear diffusion. `D * Entropy()` gives the Fokker–Planck equation with diffusivity D."""

    name = "entropy"

    def U(self, rho: Array) -> Array:
        """ρ log ρ, with 0 log 0 = 0; numpy arrays or scalars."""
        from scipy.special import xlogy

        return xlogy(rho, rho)

    def per_mass(self, rho: Pushed) -> Array:
        return rho.log_density

    def gradient(self, rho: Pushed) -> Array:
        return rho.score


@dataclass(frozen=True)
class PorousMedium(Internal):
    """∫ρ^m/(m−1), m > 1: ∂ρ/∂t = Δ(ρ^m).

    At the front of a compactly supported density ∇log ρ diverges, but the part of g does not:
    m ρ^(m−1) ∇log ρ = m/(m−1) ∇(ρ^(m−1)) is the gradient of the pressure.
    """

    m: float
    name = "porous medium"

    def __post_init__(self) -> None:
        if not real("m", self.m) > 1:
            raise InputError(f"m must be > 1 (m = 1 is Entropy()), got {self.m}")

    def U(self, rho: Array) -> Array:
        return rho**self.m / (self.m - 1)

    def per_mass(self, rho: Pushed) -> Array:
        return rho.backend.xp.exp((self.m - 1) * rho.log_density) / (self.m - 1)

    def diffusivity(self, rho: Pushed) -> Array:
        return self.m * rho.backend.xp.exp((self.m - 1) * rho.log_density)


@dataclass(frozen=True)
class InternalEnergy(Internal):
    """∫U(ρ) for a convex U given as an elementwise function of ρ > 0; U'' comes from automatic differentiation."""

    function: Callable[[Array], Array]
    name = "internal energy"

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise InputError(f"U must be an elementwise function of the density, got {self.function!r}")

    def modulus_times(self, coefficient: float) -> float | None:
        return None  # McCann's condition is not checked for a given U

    def try_functions(self, trial: Trial) -> None:
        trial.values("U", self.function, np.geomspace(1e-3, 1e1, len(trial.points)))

    def U(self, rho: Array) -> Array:
        return self.function(rho)

    def per_mass(self, rho: Pushed) -> Array:
        density = rho.backend.xp.exp(rho.log_density)
        return self.function(density) / density

    def diffusivity(self, rho: Pushed) -> Array:
        xp, grad = rho.backend.xp, rho.backend.grad
        density = xp.exp(rho.log_density)
        first = grad(lambda r: xp.sum(self.function(r)))
        return density * grad(lambda r: xp.sum(first(r)))(density)
