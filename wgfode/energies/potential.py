"""∫Vρ: drift down the gradient of V."""

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
from .target import NegativeLog

Array = Any


@dataclass(frozen=True)
class Potential(Term):
    """∫Vρ. `V` maps points (N, d) to (N,), and is given `t` and `args` where it names them.

    `convexity` is the λ of ∇²V ⪰ λI, where it is known (at all times and parameters).
    """

    V: Callable[..., Array]
    convexity: float | None = None
    name = "potential"

    def __post_init__(self) -> None:
        if not callable(self.V):
            raise InputError(f"V must be a function of points (N, d), got {shown(self.V)}")
        if self.convexity is not None:
            real("convexity", self.convexity)

    @classmethod
    def from_log_density(cls, log_density: Callable[..., Array], convexity: float | None = None) -> Potential:
        """−log π as a potential: with `+ wgf.Entropy()` the flow goes to the density π, known up to a constant.

        `log_density` maps points (N, d) to (N,) or a single point (d,) to a number, as `log_prob` of
        torch.distributions and numpyro and the log densities of blackjax and pymc do. `convexity` is the λ of
        −∇² log π ⪰ λI. Raises `InputError` where `log_density` is no function.
        """
        if not callable(log_density):
            raise InputError(f"log_density must be a function of points, got {shown(log_density)}")
        return cls(NegativeLog(log_density), convexity)

    def modulus_times(self, coefficient: float) -> float | None:
        return scaled_modulus(coefficient, self.convexity)

    @cached_property
    def _given(self) -> Given:
        return Given(self.V)

    @property
    def functions(self) -> tuple[Given, ...]:
        return (self._given,)

    def at(self, t: float, args: Any = None) -> Potential:
        return replace(self, V=self._given.at(t, args)) if self._given.names else self

    def try_functions(self, trial: Trial) -> None:
        if trial.can(self._given):
            trial.function(getattr(self.V, "called", "V"), self._given.at(trial.t, trial.args), trial.points)

    def value(self, rho: Pushed) -> Array:
        return rho.mean(self._given.at(rho.t, rho.args)(rho.x))

    def gradient(self, rho: Pushed) -> Array:
        V, sum_ = self._given.at(rho.t, rho.args), rho.backend.xp.sum
        return rho.backend.grad(lambda x: sum_(V(x)))(rho.x)
