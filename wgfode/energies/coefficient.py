"""Coefficients of energy terms that are functions of physical parameters and of the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..checks import Trial
from ..errors import InputError, shown
from ..functions import Given
from ..pushforward import Pushed
from .base import Energy, Sum, Term, number

Array = Any


@dataclass(frozen=True)
class Coefficient:
    """A factor of energies that `function` computes from `args`, from `t`, or from both, as it names them.

    `wgf.coefficient(lambda args: args["D"]) * wgf.Entropy()`; products with numbers, and with energies, go on. The
    function returns a number or an array without dimension. Raises `InputError` for a function that names neither.
    """

    function: Callable[..., Array]
    factor: float = 1.0

    def __post_init__(self) -> None:
        if not callable(self.function) or not self.given.names:
            raise InputError(
                "coefficient must be a function of args, of t, or of both by these names, such as "
                f"lambda args: args['D'], got {shown(self.function)}; a constant needs no coefficient(): .5 * Entropy()"
            )

    @cached_property
    def given(self) -> Given:
        """The function, as it is called."""
        return Given(self.function, leading=0)

    def at(self, t: Array, args: Any) -> Array:
        """Its value, 0-dim."""
        return self.factor * self.given.at(t, args)()

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, Energy):
            return Sum(tuple((c, Scaled(self, term)) for c, term in other.terms))
        return Coefficient(self.function, self.factor * number("the factor of a coefficient", other))

    __rmul__ = __mul__

    def __neg__(self) -> Coefficient:
        return self * -1.0

    def __truediv__(self, divisor: Any) -> Coefficient:
        return self * (1 / number("the divisor of a coefficient", divisor))

    __array_ufunc__ = None

    def __repr__(self) -> str:
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return ("" if self.factor == 1 else f"{self.factor:g}*") + f"coefficient({name})"


def coefficient(function: Callable[..., Array]) -> Coefficient:
    """A coefficient of energy terms that is a function of `args`, of `t`, or of both: see `Coefficient`."""
    return Coefficient(function)


@dataclass(frozen=True)
class Scaled(Term):
    """A term times a coefficient that is a function."""

    coefficient: Coefficient
    term: Term

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.term.name

    @property
    def pointwise(self) -> bool:  # type: ignore[override]
        return self.term.pointwise

    @property
    def pairs(self) -> bool:  # type: ignore[override]
        return self.term.pairs

    @property
    def has_energy(self) -> bool:  # type: ignore[override]
        return self.term.has_energy

    @property
    def functions(self) -> tuple[Given, ...]:
        return (self.coefficient.given, *self.term.functions)

    def at(self, t: float, args: Any = None) -> Energy:
        return number("coefficient", self.coefficient.at(t, args)) * self.term.at(t, args)

    def value(self, rho: Pushed) -> Array:
        return rho.backend.devices.same(self.coefficient.at(rho.t, rho.args)) * self.term.value(rho)

    def gradient(self, rho: Pushed) -> Array:
        return self.coefficient.at(rho.t, rho.args) * self.term.gradient(rho)

    def stress(self, rho: Pushed) -> Array | None:
        known = self.term.stress(rho)
        return None if known is None else self.coefficient.at(rho.t, rho.args) * known

    def modulus_times(self, coefficient: float) -> float | None:
        # for every positive value of the coefficient, and others are refused where ρ counts pointwise
        known = self.term.modulus_times(coefficient)
        return known if self.pointwise and known == 0 else None

    def least_diffusivity(self, rho: Pushed) -> Array | None:
        if not self.pointwise:
            return None
        known = self.term.least_diffusivity(rho)
        value = self.coefficient.at(rho.t, rho.args) * rho.backend.xp.ones_like(rho.weights[0])
        return value if known is None else value * known

    def allow(self, coefficient: float) -> None:
        self.term.allow(coefficient)

    def try_functions(self, trial: Trial) -> None:
        if trial.can(self.coefficient.given):
            self.term.allow(self._number(trial))
        self.term.try_functions(trial)

    def _number(self, trial: Trial) -> float:
        """The coefficient's value, once it is sure that it is a finite number."""
        try:
            found = self.coefficient.at(trial.t, trial.args)
            found = found if trial.backend is None or not hasattr(found, "shape") else trial.backend.to_numpy(found)
            value = np.asarray(found, dtype=float)
        except Exception as error:
            raise InputError(f"{self.coefficient!r} failed on args: {type(error).__name__}: {error}") from error
        if value.shape != () or not np.isfinite(value):
            raise InputError(
                f"{self.coefficient!r} must be a finite number or an array without dimension, got "
                f"{value.item() if value.shape == () else f'shape {value.shape}'}"
            )
        return float(value)

    def __repr__(self) -> str:
        return f"{self.coefficient!r}*{self.term!r}"
