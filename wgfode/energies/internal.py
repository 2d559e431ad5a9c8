"""∫U(ρ): linear and nonlinear diffusion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..checks import Trial
from ..errors import InputError, real, shown
from ..functions import Given
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

    def stress(self, rho: Pushed) -> Array:
        """P/ρ = U' − U/ρ at the points, (N,)."""
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

    def stress(self, rho: Pushed) -> Array:
        return rho.backend.xp.ones_like(rho.log_density)

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

    def stress(self, rho: Pushed) -> Array:
        return rho.backend.xp.exp((self.m - 1) * rho.log_density)

    def diffusivity(self, rho: Pushed) -> Array:
        return self.m * rho.backend.xp.exp((self.m - 1) * rho.log_density)


@dataclass(frozen=True)
class InternalEnergy(Internal):
    """∫U(ρ) for a convex U given as an elementwise function of ρ > 0; U'' comes from automatic differentiation.

    The function is given `t` and `args` where it names them.
    """

    function: Callable[..., Array]
    name = "internal energy"

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise InputError(f"U must be an elementwise function of the density, got {shown(self.function)}")

    def modulus_times(self, coefficient: float) -> float | None:
        return None  # McCann's condition is not checked for a given U

    def try_functions(self, trial: Trial) -> None:
        if not trial.can(self._given):
            return
        U = self._given.at(trial.t, trial.args)
        met = np.array([1e-3, 1e1]) if trial.densities is None else trial.densities[trial.densities > 0]
        # densities, a little beyond those of the points
        densities = np.geomspace(met.min() / 2, met.max() * 2, max(len(trial.points), 16))
        values = trial.function("U", U, densities)
        if values is None:
            return
        slopes = np.diff(values) / np.diff(densities)
        scale = np.abs(values).max() / np.diff(densities) + np.abs(slopes).max()
        bends = np.diff(slopes)
        precise = 1e-14 if trial.backend is None or trial.backend.dtype == "float64" else 1e-5
        if (bends < -(precise * 10) * (scale[1:] + scale[:-1])).any():
            worst = int(np.argmin(bends))
            raise InputError(
                f"U must be convex, but its slope falls from {slopes[worst]:.6g} to {slopes[worst + 1]:.6g} about the "
                f"density {densities[worst + 1]:.3g}, which the flow meets: that is a backward diffusion, "
                f"which is ill-posed"
            )
        if trial.backend is not None:
            grad, sum_ = trial.backend.grad, trial.backend.xp.sum
            trial.function("U'", grad(lambda r: sum_(U(r))), densities)

    @cached_property
    def _given(self) -> Given:
        return Given(self.function)

    @property
    def functions(self) -> tuple[Given, ...]:
        return (self._given,)

    def at(self, t: float, args: Any = None) -> InternalEnergy:
        return replace(self, function=self._given.at(t, args)) if self._given.names else self

    def U(self, rho: Array) -> Array:
        return self.function(rho)

    def per_mass(self, rho: Pushed) -> Array:
        density = rho.backend.xp.exp(rho.log_density)
        return self._given.at(rho.t, rho.args)(density) / density

    def stress(self, rho: Pushed) -> Array:
        U, density = self._given.at(rho.t, rho.args), rho.backend.xp.exp(rho.log_density)
        return rho.backend.grad(lambda r: rho.backend.xp.sum(U(r)))(density) - U(density) / density

    def least_diffusivity(self, rho: Pushed) -> Array | None:
        return rho.least(self.diffusivity(rho))

    def diffusivity(self, rho: Pushed) -> Array:
        xp, grad = rho.backend.xp, rho.backend.grad
        density = xp.exp(rho.log_density)
        U = self._given.at(rho.t, rho.args)
        first = grad(lambda r: xp.sum(U(r)))
        return density * grad(lambda r: xp.sum(first(r)))(density)
